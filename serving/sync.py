"""From the lakehouse to the online store: all of a view, or only what changed since the last time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import ForebayError
from feature_specs.library_errors import explain_one, known_errors
from serving.columns import RowEncoder
from serving.offline import FeatureTable, open_feature_tables, read_changes
from serving.state import ViewState, load_state
from serving.stores import NoStoreError, OnlineStore, open_store

#: Called with a view's name, how many of its rows are read so far, and how many it has.
Progress = Callable[[str, int, int], None]
Action = Literal["unchanged", "changed", "replaced", "failed"]


@dataclass(frozen=True)
class SyncReport:
    """What `sync` did for a view, or with ``dry_run`` what it would have done.

    Attributes:
        action: ``unchanged``: the store had these rows already; ``changed``: the rows changed since
            were applied; ``replaced``: all rows were written anew; ``failed``: the store holds what
            it held before.
        written, deleted: rows.
        null_keys: rows left out because a null in its key makes a row no entity.
        rows: how many the store holds then.
        at: the instant of the rows, microseconds since the epoch; None where it failed.
        error: why it failed, with a hint.
    """

    view: str
    action: Action
    written: int = 0
    deleted: int = 0
    null_keys: int = 0
    rows: int = 0
    at: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Changes:
    upserts: dict[bytes, bytes]
    deletes: list[bytes]
    null_keys: int


def sync(
    catalog: Catalog,
    views: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> list[SyncReport]:
    """Bring the online store to the state of the feature tables.

    Each view changes at once: a reader sees all of the new rows or none. A view that fails, as one
    that is not built, is reported so and leaves the others to be synced.

    Args:
        views: names; None for all.
        dry_run: report and write nothing.

    Raises:
        UnknownNameError: there is no such view.
        ForebayError: the store cannot be opened, or the machine has no room.
    """
    chosen = [catalog.view(name) for name in (catalog.views if views is None else views)]
    done: dict[str, SyncReport] = {}
    tables, failed = open_feature_tables(catalog, chosen)
    store = _open(catalog.online, dry_run) if tables else None
    try:
        for name, table in tables.items():
            try:
                done[name] = _sync_view(catalog, store, table, progress, dry_run)
            except known_errors() as error:
                failed[name] = explain_one(error)
    finally:
        if store is not None:
            store.close()
    return [done.get(v.name) or _failed(v.name, failed[v.name]) for v in chosen]


def _failed(view: str, error: ForebayError) -> SyncReport:
    return SyncReport(view, "failed", error=str(error))


def follow(
    load: Callable[[], Catalog],
    views: Sequence[str] | None = None,
    *,
    every: float,
    stop: threading.Event,
    report: Callable[[SyncReport], None],
) -> None:
    """Sync every ``every`` seconds until ``stop`` is set; report what was not unchanged.

    A view that fails is tried again each time, and reported again only when the reason is another.

    Args:
        load: gives the catalog, anew each time, so that a recompiled project is followed too.
    """
    known: dict[str, str | None] = {}
    while not stop.is_set():
        for done in sync(load(), views):
            if done.action != "unchanged" and not (
                done.error and done.error == known.get(done.view)
            ):
                report(done)
            known[done.view] = done.error
        stop.wait(every)


def _open(uri: str, dry_run: bool) -> OnlineStore | None:
    try:
        return open_store(uri, readonly=dry_run)
    except NoStoreError:
        return None


def _sync_view(
    catalog: Catalog,
    store: OnlineStore | None,
    table: FeatureTable,
    progress: Progress | None,
    dry_run: bool,
) -> SyncReport:
    view, name = table.view, table.view.name
    known = None if store is None else load_state(store.get_state(name))
    at = table.state.at
    if known is not None and known.semantic_hash == view.semantic_hash:
        if (known.at, known.snapshot) == (at, table.snapshot):
            return SyncReport(name, "unchanged", 0, 0, 0, known.rows, at)
        # At one instant the rows change only with the data, which the history's times do not show.
        if known.at < at and store is not None:
            changes = _read_changes(catalog, view, known.at, at)
            if changes is not None:
                return _apply(store, table, known, changes, dry_run)
    if dry_run or store is None:
        count = table.count()
        return SyncReport(name, "replaced", count, 0, 0, count, at)
    return _replace(store, table, progress)


def _replace(store: OnlineStore, table: FeatureTable, progress: Progress | None) -> SyncReport:
    view = table.view
    encoder = RowEncoder(view)
    done, total = 0, table.count()

    def rows() -> Iterator[tuple[bytes, bytes]]:
        nonlocal done
        for batch in table.batches(encoder.columns):
            yield from encoder.encode(batch)
            done += batch.num_rows
            if progress is not None:
                progress(view.name, done, total)

    # The state goes with the rows, before keys that are no entities are counted: corrected after.
    state = _state(table, total)
    store.write(view.name, rows(), (), state.dumps(), replace=True)
    written = done - encoder.null_keys
    if written != state.rows:
        store.put_state(view.name, _state(table, written).dumps())
    return SyncReport(view.name, "replaced", written, 0, encoder.null_keys, written, table.state.at)


def _read_changes(catalog: Catalog, view: ViewEntry, after: int, until: int) -> _Changes | None:
    """The last change of each key in (after, until], or None where they are not known."""
    encoder = RowEncoder(view)
    found = read_changes(catalog, view, after, until, encoder.columns)
    if found is None:
        return None
    found = encoder.entities_only(found).combine_chunks()
    keys = encoder.keys(found)
    last = {key: i for i, key in enumerate(keys)}
    gone = found["deleted"].to_pylist()
    deletes = [key for key, i in last.items() if gone[i]]
    # A deletion's values, event_time among them, may be null: only the others are encoded.
    # Typed, since a list without numbers has none that arrow could tell.
    alive = found.take(pa.array([i for i in last.values() if not gone[i]], pa.int64()))
    return _Changes(dict(encoder.encode(alive)), deletes, encoder.null_keys)


def _apply(
    store: OnlineStore, table: FeatureTable, known: ViewState, changes: _Changes, dry_run: bool
) -> SyncReport:
    view = table.view.name
    touched = [*changes.upserts, *changes.deletes]
    there = store.get_many({view: touched})[view].rows
    new = sum(row is None for row in there[: len(changes.upserts)])
    removed = sum(row is not None for row in there[len(changes.upserts) :])
    state = _state(table, known.rows + new - removed)
    if not dry_run:
        rows = changes.upserts.items()
        store.write(view, rows, changes.deletes, state.dumps(), replace=False)
    return SyncReport(
        view,
        "changed",
        len(changes.upserts),
        removed,
        changes.null_keys,
        state.rows,
        table.state.at,
    )


def _state(table: FeatureTable, rows: int) -> ViewState:
    return ViewState(table.state.at, table.view.semantic_hash, rows, table.snapshot)
