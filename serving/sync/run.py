"""Sync views one after the other: each changes at once, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import ForebayError
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.progress import Progress
from lineage.events.run import NO_RUN, Run, current_run
from serving.kept_catalog import keep_catalog, refuse_other_projects
from serving.offline import FeatureTable, open_feature_tables
from serving.state import ViewState, load_state
from serving.stores import NoStoreError, OnlineStore, StoredView, open_store
from serving.sync.changes import apply_changes, open_logged
from serving.sync.datasets import offline_dataset, online_dataset, sync_job
from serving.sync.load import replace_rows
from serving.sync.meanings import retire_earlier
from serving.sync.report import SyncReport

#: Opens the store of an address, for a dry run or to write; None where a dry run finds none.
Opened = Callable[[str, bool], AbstractContextManager[OnlineStore | None]]


def sync(
    catalog: Catalog,
    views: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    opened: Opened | None = None,
) -> list[SyncReport]:
    """Bring the online store to the state of the feature tables.

    Each view changes at once: a reader sees all of the new rows or none. Where what a view means has
    changed, its rows of before stay for `GRACE_S`, for servers that know no other meaning yet. A view
    that fails, as one that is not built, is reported so and leaves the others to be synced.

    Args:
        views: names; None for all.
        dry_run: report and write nothing.
        opened: gives the store to write to; one of its own that is closed in the end where it is None.

    Raises:
        UnknownNameError: there is no such view.
        ForebayError: the store cannot be opened, or the machine has no room.
    """
    chosen = [catalog.view(name) for name in (catalog.views if views is None else views)]
    done: dict[str, SyncReport] = {}
    tables, failed = open_feature_tables(catalog, chosen)
    if tables:
        with (opened or _opened)(catalog.online, dry_run) as store:
            for name, table in tables.items():
                try:
                    done[name] = _sync_view(catalog, store, table, progress, dry_run)
                except known_errors() as error:
                    failed[name] = explain_one(error)
            if store is not None and not dry_run:
                retire_earlier(store, [catalog.views[name] for name in done])
                keep_catalog(store, catalog)
    reports = [done.get(v.name) or _failed(v.name, failed[v.name]) for v in chosen]
    left_out = catalog.views_left_out() if views is None else []
    return [*reports, *(_failed(out.name, out.problem()) for out in left_out)]


def _failed(view: str, error: ForebayError) -> SyncReport:
    return SyncReport(view, "failed", error=str(error))


@contextmanager
def _opened(uri: str, dry_run: bool) -> Iterator[OnlineStore | None]:
    """The store; None where a dry run finds none."""
    try:
        store = open_store(uri, readonly=dry_run)
    except NoStoreError:
        yield None
        return
    try:
        yield store
    finally:
        store.close()


def _sync_view(
    catalog: Catalog,
    store: OnlineStore | None,
    table: FeatureTable,
    progress: Progress | None,
    dry_run: bool,
) -> SyncReport:
    view = table.view
    raw = None if store is None else store.get_state(StoredView.of(view))
    known = load_state(raw)
    if store is not None and raw is None:
        refuse_other_projects(store, catalog, view)
    same_query = known is not None and known.semantic_hash == view.semantic_hash
    here = (table.state.at, table.snapshot)
    if known is not None and same_query and (known.at, known.snapshot) == here:
        return SyncReport(view.name, "unchanged", rows=known.rows, at=known.at)
    run = NO_RUN if dry_run else current_run().child(sync_job(catalog, view))
    with run.going_on():
        report = _bring_forward(
            catalog, store, view, raw, known if same_query else None, progress, dry_run
        )
        run.note(lambda run: _describe(run, catalog, table, report))
    return report


def _describe(run: Run, catalog: Catalog, table: FeatureTable, report: SyncReport) -> None:
    run.read(offline := offline_dataset(catalog, table))
    run.wrote(online_dataset(catalog.online, table.view, offline, report))


def _bring_forward(
    catalog: Catalog,
    store: OnlineStore | None,
    view: ViewEntry,
    raw: bytes | None,
    known: ViewState | None,
    progress: Progress | None,
    dry_run: bool,
) -> SyncReport:
    """Apply what changed since ``known``, or write everything."""
    # Opened now, for it may have gone on while other views were written.
    logged = open_logged(catalog, view)
    # What the log gained while the view meant something else are changes of other rows than these.
    steady = known is not None and known.retired is None
    if store is not None and raw is not None and known is not None and steady:
        report = apply_changes(store, logged, raw, known, dry_run)
        if report is not None:
            return report
    return replace_rows(None if dry_run else store, logged.table, logged.position, progress)
