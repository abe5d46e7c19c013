"""Run many cases on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from tests.prove.check import Outcome, check
from tests.prove.engines import Engines
from tests.prove.views import draw_case

#: Databases of this process. DuckDB keeps a little of every dropped table: renewed now and then.
_engines: Engines | None = None
_used = 0
_RENEW = 500
_CHUNK = 4
_WAITING = 3


def case_name(seed: int, number: int) -> str:
    """What draws case ``number`` of a run again, in any process."""
    return f"{seed}:{number}"


def prove(
    seed: int, count: int, *, jobs: int | None = None, only: str | None = None
) -> Iterator[Outcome]:
    """The outcomes of ``count`` cases, as they come.

    Args:
        only: a tag; cases without it are passed over and do not count.
    """
    jobs = jobs or os.cpu_count() or 1
    names = _names(seed, count, only)
    if jobs == 1:
        yield from map(one, names)
        return
    lost: list[str] = []
    with _Pool(jobs) as pool:
        for chunk in iter(lambda: list(islice(names, _CHUNK)), []):
            pool.submit(chunk)
            while pool.full:
                yield from pool.collect(lost)
        while pool.waiting:
            yield from pool.collect(lost)
    # A database that crashed took the cases of every worker with it: find out which it was.
    for name in lost:
        yield _alone(name)


class _Pool:
    """Workers, and the cases given to them."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.waiting: dict[Future[list[Outcome]], list[str]] = {}

    def __enter__(self) -> _Pool:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown(wait=not self.waiting, cancel_futures=True)

    @property
    def full(self) -> bool:
        return len(self.waiting) >= self.jobs * _WAITING

    def submit(self, names: list[str]) -> None:
        self.waiting[self.executor.submit(_several, names)] = names

    def collect(self, lost: list[str]) -> Iterator[Outcome]:
        """What has become ready; of a crash, the names of the cases lost."""
        done, _ = wait(self.waiting, return_when=FIRST_COMPLETED)
        broken = False
        for future in done:
            names = self.waiting.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                lost += names
                broken = True
            else:
                yield from future.result()
        if broken:
            for names in self.waiting.values():
                lost += names
            self.waiting.clear()
            self.executor.shutdown(wait=False, cancel_futures=True)
            self._start()

    def _start(self) -> None:
        self.executor = _executor(self.jobs)


def _executor(jobs: int) -> ProcessPoolExecutor:
    # Workers are started afresh: a fork would share the parent's threads and databases.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts)


def _alone(name: str) -> Outcome:
    """A case in a process of its own, for it may be the one that crashes."""
    with _executor(1) as executor:
        try:
            return executor.submit(one, name).result()
        except BrokenProcessPool:
            tags = draw_case(name).tags
            return Outcome(name, tags, "failed", "crash", "the database's process died")


def _names(seed: int, count: int, only: str | None) -> Iterator[str]:
    found = number = 0
    while found < count:
        name = case_name(seed, number)
        number += 1
        if only is None or _tagged(name, only):
            found += 1
            yield name
        elif number > 500 * (found + 10):
            raise SystemExit(f"no case has the tag {only!r}; tags are category:name")


def _tagged(name: str, tag: str) -> bool:
    return any(t == tag or t.endswith(f":{tag}") for t in draw_case(name).tags)


def one(name: str) -> Outcome:
    """Draw and check one case with this process's databases."""
    global _engines, _used
    if _engines is None or _used >= _RENEW:
        if _engines is not None:
            _engines.close()
        _engines, _used = Engines(), 0
    _used += 1
    outcome = check(draw_case(name), _engines)
    if outcome.status == "failed":
        _engines.close()  # an internal error may have spoilt it
        _engines = None
    return outcome


def _several(names: list[str]) -> list[Outcome]:
    return [one(name) for name in names]


def _ignore_interrupts() -> None:
    """Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
