"""Feature views stepped in the stream process: online at once, in their tables now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError
from feature_specs.instants import epoch_us
from feature_specs.library_errors import explain_one, known_errors
from forebay.builds.advance import advance_project
from forebay.dbt_project.project import Project
from forebay.streaming.built_views import built_views, kept_snapshots
from forebay.streaming.complaints import Complaints
from lakehouse.lake import catalog_errors, open_lake
from lakehouse.plans import read_plan
from lakehouse.relations import connect
from lakehouse.retained import check_retained
from lakehouse.stream.live_leaves import LiveLeaves, RewrittenError
from lakehouse.stream.live_view import CHANGES, LiveView
from serving.stores import OnlineStore, OvertakenError, StoreDownError, open_store
from serving.sync import sync
from serving.sync.live import LiveWriter


def _passing() -> tuple[type[Exception], ...]:
    """What a catalog or a store that is away raises."""
    return (StoreDownError, *catalog_errors())


@dataclass
class _Live:
    """Everything that is in memory."""

    connection: duckdb.DuckDBPyConnection
    leaves: LiveLeaves
    views: dict[str, tuple[LiveView, LiveWriter]]
    #: Those that read rows which retention has removed, until they no longer do.
    waiting: dict[str, tuple[LiveView, LiveWriter]] = field(default_factory=dict)

    def check_retained(self, view: ViewEntry, at: datetime) -> None:
        """Raise DataError where a view at an instant would read rows that are gone."""
        check_retained(view, self.leaves.pinned(view.leaves), epoch_us(at))


@dataclass
class StreamViews:
    """Steps views after each round of a stream, and writes the online store.

    Args:
        views: that read the streamed tables.
        every: seconds between checkpoints, at which the feature tables are brought forward.
        complaints: told of each view that fails; it stays as it is, and the others go on.
    """

    project: Project
    catalog: Catalog
    views: Sequence[ViewEntry]
    clock: Callable[[], datetime]
    every: float
    complaints: Complaints
    step_s: float = 0.0
    changed: int = 0
    at: datetime | None = None
    _live: _Live | None = None
    _store: OnlineStore | None = None
    _saving: threading.Thread | None = None
    _saved_at: float = field(default_factory=time.monotonic)

    @property
    def saving(self) -> bool:
        """Whether the feature tables are being brought forward."""
        return self._saving is not None and self._saving.is_alive()

    def follow(self, added: Mapping[str, Any], leads: bool, *, save: bool = True) -> None:
        """Bring the views to the present over what the tables have now.

        Args:
            added: of each table that this process has committed to, the table and the rows.
            leads: whether this process is the one to do so; another one of the group may be.
            save: whether feature tables may be brought forward, if that is due.
        """
        begun = time.monotonic()
        if not leads:
            self._live = None
            return
        try:
            self._go_on(added)
        except _passing() as error:
            # What was committed meanwhile is read from the tables once they answer.
            self.complaints.tell("features", explain_one(error))
            return
        self.complaints.clear("features")
        self.step_s = time.monotonic() - begun
        if save and time.monotonic() - self._saved_at >= self.every:
            self._save_aside()

    def close(self) -> None:
        """Bring the tables to where the store is, and say so in the store."""
        led = self._live is not None
        self._live = None
        if self._saving is not None:
            self._saving.join()
        if self._store is not None:
            self._store.close()
            self._store = None
        if led and self.at is not None:
            built = self._save(self.at)
            try:
                for report in sync(self.catalog, built) if built else ():
                    if report.error:
                        self.complaints.complain(report.error)
            except known_errors() as error:
                self.complaints.tell("online store", explain_one(error))

    def held(self, view: str) -> LiveView | None:
        """A view's rows in memory; None where it is not stepped here."""
        found = None if self._live is None else self._live.views.get(view)
        return None if found is None else found[0]

    def kept(self) -> set[int]:
        """The snapshots of streamed tables from which feature tables resume."""
        return kept_snapshots(self.catalog, self.views)

    def _go_on(self, added: Mapping[str, Any]) -> None:
        if self._live is not None:
            try:
                self._step(self._live, added)
                return
            except (RewrittenError, OvertakenError, DataError, duckdb.Error):
                # Rows were rewritten, somebody else wrote the store, or files went before they were
                # read: from the tables anew.
                self._live = None
        self._load()

    def _load(self) -> None:
        if self._store is None:
            self._store = open_store(self.catalog.online)
        self._store.states()  # one that is away says so before the lake is read for it
        connection = connect(self.catalog)
        connection.execute("set arrow_large_buffer_size = true")
        lake = open_lake(self.catalog.lake)
        names = dict.fromkeys(leaf for view in self.views for leaf in view.leaves)
        leaves = LiveLeaves(connection, lake, [self.catalog.leaves[n] for n in names])
        live = _Live(connection, leaves, {})
        at = self._now()
        for view in self.views:
            plan = read_plan(self.project.folder, view.name)
            held = LiveView(connection, view, plan)
            writer = LiveWriter(self._store, view)
            # What is online of one that waits stays as it is.
            if not self._try(view, lambda: live.check_retained(view, at)):  # noqa: B023
                live.waiting[view.name] = held, writer
            elif self._try(view, lambda: self._build(live, held, writer, at)):  # noqa: B023
                live.views[view.name] = held, writer
        self._live, self.at = live, at

    def _build(self, live: _Live, held: LiveView, writer: LiveWriter, at: datetime) -> None:
        held.build(at)
        self._write(live, held, writer, held.relation)

    def _step(self, live: _Live, added: Mapping[str, Any]) -> None:
        found = live.leaves.look_up(added)
        self._live = None  # half a step is none
        came = live.leaves.take(found)
        at = self._now()
        self.changed = 0
        for name, (held, writer) in list(live.views.items()):
            if not self._try(held.view, lambda: self._step_view(live, held, writer, at, came)):  # noqa: B023
                del live.views[name]
        for name, (held, writer) in list(live.waiting.items()):
            try:
                live.check_retained(held.view, at)
            except DataError:
                continue
            del live.waiting[name]
            if self._try(held.view, lambda: self._build(live, held, writer, at)):  # noqa: B023
                live.views[name] = held, writer
        self._live, self.at = live, at

    def _step_view(
        self, live: _Live, held: LiveView, writer: LiveWriter, at: datetime, came: set[str]
    ) -> None:
        self.changed += held.step(at, came)
        self._write(live, held, writer, CHANGES)

    def _write(self, live: _Live, held: LiveView, writer: LiveWriter, relation: str) -> None:
        at = held.at
        assert at is not None
        snapshots = live.leaves.snapshots(held.view.leaves)
        writer.write(live.connection, relation, at=at, rows=held.rows, leaves=snapshots)

    def _now(self) -> datetime:
        now = self.clock()
        return now if self.at is None else max(now, self.at)

    def _try(self, view: ViewEntry, work: Callable[[], None]) -> bool:
        try:
            work()
        except (StoreDownError, OvertakenError):
            raise  # what the store has by now is not known
        except known_errors() as error:
            self.complaints.tell(view.name, explain_one(error))
            return False
        return True

    def _save_aside(self) -> None:
        """Bring the tables forward beside the stream, unless that is still going on."""
        if self.saving:
            return
        self._saved_at = time.monotonic()
        at = self.at
        assert at is not None
        self._saving = threading.Thread(target=lambda: self._save(at), daemon=True)
        self._saving.start()

    def _save(self, at: datetime) -> list[str]:
        """Bring the tables to an instant; the views whose table stands there now."""
        done: list[str] = []
        try:
            built = list(built_views(self.catalog, self.views))
            for step in advance_project(self.project, built, at, 1) if built else ():
                if step.error is None:
                    done.append(step.view)
                else:
                    self.complaints.tell(step.view, step.error)
        except known_errors() as error:
            self.complaints.tell("checkpoint", explain_one(error))
        return done
