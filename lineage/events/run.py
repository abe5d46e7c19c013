"""A run of a job: emits its START, RUNNING and final event.

`job_run` is what commands use. The run that is going on is known to the whole process
(`current_run`), so that what works below a command (a view that is synced, a model that dbt builds)
tells its part as a run of its own beneath it, or nothing where nobody asked for events.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from feature_specs.errors import first_line
from feature_specs.library_errors import known_errors
from lineage.events.encode_event import Dataset, Event, Facet, State
from lineage.events.hide_secrets import hide_secrets
from lineage.events.open_receiver import is_disabled, producer, receiver_of
from lineage.events.outbox import Lost, Outbox
from lineage.events.read_git import source_code_location

#: The namespace of jobs; else that of each integration: dbt's own jobs are in ``dbt``.
NAMESPACE = "OPENLINEAGE_NAMESPACE"
#: The run that started this process, ``namespace/job/run``, and the one that started that.
PARENT, ROOT_PARENT = "OPENLINEAGE_PARENT_ID", "OPENLINEAGE_ROOT_PARENT_ID"
#: Seconds for which a command's end waits for a receiver that has not failed.
WAIT, WAIT_S = "FOREBAY_OPENLINEAGE_WAIT", 1.0
#: Seconds from which on a run that goes on may say so, and between two times.
_RUNNING_EVERY_S = 30.0
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Processing = Literal["BATCH", "STREAMING"]


@dataclass(frozen=True)
class Job:
    """A job, the same in each of its runs.

    Attributes:
        name: as the tool that it belongs to writes it.
        kind: ``INGEST``, ``SYNC``, ``MODEL``, ...
        integration: ``FOREBAY``, or ``DBT`` for what dbt runs.
        facets: what else is known of it.
    """

    name: str
    kind: str
    integration: str = "FOREBAY"
    processing: Processing = "BATCH"
    facets: Mapping[str, Facet] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return os.environ.get(NAMESPACE) or self.integration.lower()


def new_run_id() -> str:
    """A UUID of version 7: later ones are greater, which receivers sort by."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(76)
    value = value & ~(0xC000 << 48) | 0x8000 << 48 | 7 << 76
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Run:
    """One run of a job. Its methods may be called from any thread, and never wait or fail.

    Attributes:
        id: a UUID, ordered by time.
    """

    def __init__(
        self,
        job: Job,
        put: Callable[[Event], None],
        parent: Facet | None,
        shared: Mapping[str, Facet],
    ) -> None:
        self.id = new_run_id()
        self.job = job
        self._put, self._parent, self._shared = put, parent, dict(shared)
        self._facets: dict[str, Facet] = {}
        self._job_facets: dict[str, Facet] = {}
        self._inputs: dict[tuple[str, str], Dataset] = {}
        self._outputs: dict[tuple[str, str], Dataset] = {}
        self._told = time.monotonic()
        self._failure: str | None = None
        self._lock = threading.Lock()

    def read(self, *datasets: Dataset) -> None:
        """Note what the job reads; what is known of it later on replaces this."""
        with self._lock:
            self._inputs |= {(d.namespace, d.name): d for d in datasets}

    def wrote(self, *datasets: Dataset) -> None:
        """Note what the job writes."""
        with self._lock:
            self._outputs |= {(d.namespace, d.name): d for d in datasets}

    def describe(self, **facets: Facet) -> None:
        """Note facets of the run."""
        with self._lock:
            self._facets |= facets

    def describe_job(self, **facets: Facet) -> None:
        """Note facets of the job that come to light as it runs, such as its SQL."""
        with self._lock:
            self._job_facets |= facets

    @contextmanager
    def describing(self) -> Iterator[None]:
        """Look up what the job read and wrote: where that fails, the events say so, and the job,
        which has done its work, does not fail of it."""
        try:
            yield
        except known_errors() as error:
            errors = [{"errorMessage": hide_secrets(first_line(error))}]
            self.describe(extractionError={"totalTasks": 1, "failedTasks": 1, "errors": errors})

    def note(self, describe: Callable[[Run], None]) -> None:
        """Let ``describe`` note what there is to tell, as `describing` does; where nobody asked for
        events it is not called, so that looking up what they hold costs nothing."""
        with self.describing():
            describe(self)

    def fail(self, error: str) -> None:
        """Note why the run will have failed, although nothing is raised."""
        self._failure = error

    def running(self) -> None:
        """Say that it goes on; at most every half minute, so call it as often as you like."""
        if self.is_due():
            self.tell("RUNNING")

    def is_due(self) -> bool:
        """Whether it is time to say that it goes on."""
        return time.monotonic() - self._told >= _RUNNING_EVERY_S

    def tell(self, state: State, error: str | None = None) -> None:
        """Send an event.

        Args:
            error: why it failed.
        """
        self._told = time.monotonic()
        if error is not None:
            message = hide_secrets(error)
            self.describe(errorMessage={"message": message, "programmingLanguage": "PYTHON"})
        with self._lock:
            # What failed may have written nothing of what it set out to.
            outputs = [] if state == "FAIL" else list(self._outputs.values())
            event = Event(
                state,
                datetime.now(UTC).isoformat(timespec="microseconds"),
                self.id,
                {**self._run_facets(), **self._facets},
                self.job.namespace,
                self.job.name,
                {**self._type(), **self.job.facets, **self._job_facets},
                list(self._inputs.values()),
                outputs,
            )
        self._put(event)

    @contextmanager
    def going_on(self) -> Iterator[Run]:
        """Tell its start and its end: ABORT where it is interrupted, FAIL with the error's message."""
        self.tell("START")
        try:
            yield self
        except KeyboardInterrupt:
            self.tell("ABORT")
            raise
        except BaseException as error:
            self.tell("FAIL", str(error) or type(error).__name__)
            raise
        else:
            self.tell("COMPLETE" if self._failure is None else "FAIL", self._failure)

    def child(self, job: Job) -> Run:
        """A run of another job beneath this one; it is told by the child's own methods."""
        return Run(job, self._put, self._as_parent(), self._shared)

    def _as_parent(self) -> Facet:
        own = _reference(self.job.namespace, self.job.name, self.id)
        return {**own, "root": own if self._parent is None else self._parent["root"]}

    def _run_facets(self) -> dict[str, Facet]:
        facets = {} if self._parent is None else {"parent": self._parent}
        facets |= {k: v for k, v in self._shared.items() if k == "nominalTime"}
        duckdb = sys.modules.get("duckdb")
        if duckdb is not None:
            facets["processing_engine"] = {"name": "duckdb", "version": duckdb.__version__}
        return facets

    def _type(self) -> dict[str, Facet]:
        kind: Facet = {
            "processingType": self.job.processing,
            "integration": self.job.integration,
            "jobType": self.job.kind,
        }
        git = {k: v for k, v in self._shared.items() if k == "sourceCodeLocation"}
        return {"jobType": kind, **git}


class LongRun(Run):
    """A run that goes on for as long as its process: what it does is told as its own state, every
    half minute, and not as runs beneath it."""

    def child(self, job: Job) -> Run:
        return _Part(self)


class _Part(Run):
    """What a long run does once: its datasets become the long run's."""

    def __init__(self, whole: LongRun) -> None:
        super().__init__(whole.job, lambda event: None, None, {})
        self.read, self.wrote = whole.read, whole.wrote  # type: ignore[method-assign]
        self._whole = whole

    def tell(self, state: State, error: str | None = None) -> None:
        self._whole.running()


class _NoRun(Run):
    """A run that emits nothing."""

    def __init__(self) -> None:
        super().__init__(Job("", ""), lambda event: None, None, {})

    def tell(self, state: State, error: str | None = None) -> None:
        return

    def child(self, job: Job) -> Run:
        return self

    def note(self, describe: Callable[[Run], None]) -> None:
        return

    def read(self, *datasets: Dataset) -> None:
        return

    def wrote(self, *datasets: Dataset) -> None:
        return


NO_RUN: Run = _NoRun()
_current: Run = NO_RUN


def current_run() -> Run:
    """The run that this process is about; one that tells nothing where there is none."""
    return _current


@contextmanager
def job_run(
    job: Job,
    root: Path,
    complain: Callable[[Lost], None],
    nominal: datetime | None = None,
    kind: type[Run] = Run,
) -> Iterator[Run]:
    """Tell of a job of a project as it runs; beneath the job that is going on, if there is one.

    Args:
        root: the project's folder.
        complain: called at the end where events were dropped.
        nominal: the instant that the job is about, where it is about one.
        kind: `LongRun` for what goes on until it is stopped.
    """
    global _current
    if is_disabled():
        yield NO_RUN
        return
    before = _current
    if before is not NO_RUN:
        run, outbox = before.child(job), None
    else:
        outbox = Outbox(receiver_of(root), producer)
        run = kind(job, outbox.put, _parent_of_process(), _shared(root, nominal))
    _current = run
    try:
        with run.going_on():
            yield run
    finally:
        _current = before
        if outbox is not None and (lost := outbox.close(_patience())):
            complain(lost)


def _shared(root: Path, nominal: datetime | None) -> dict[str, Facet]:
    git = source_code_location(root)
    facets: dict[str, Facet] = {} if git is None else {"sourceCodeLocation": git}
    if nominal is not None:
        facets["nominalTime"] = {"nominalStartTime": nominal.astimezone(UTC).isoformat()}
    return facets


def _parent_of_process() -> Facet | None:
    """The run that started this process, as schedulers hand it over; None where it is none."""
    parent = _spelled(os.environ.get(PARENT, ""))
    root = _spelled(os.environ.get(ROOT_PARENT, ""))
    return None if parent is None else {**parent, "root": root or parent}


def _spelled(text: str) -> Facet | None:
    namespace, _, rest = text.partition("/")
    name, _, run = rest.rpartition("/")
    return _reference(namespace, name, run) if namespace and name and _UUID.fullmatch(run) else None


def _reference(namespace: str, name: str, run: str) -> dict[str, Facet]:
    return {"run": {"runId": run}, "job": {"namespace": namespace, "name": name}}


def _patience() -> float:
    try:
        return max(float(os.environ.get(WAIT, WAIT_S)), 0.0)
    except ValueError:
        return WAIT_S
