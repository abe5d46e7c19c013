"""Check that the lake and the online store open, and hold what was compiled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pyiceberg.catalog import Catalog as Lake
from pyiceberg.table import Table

from feature_specs.counted import counted
from feature_specs.errors import DataError
from feature_specs.lake_properties import public_uri
from forebay.dbt_project.project import Project
from forebay.doctor.check import Diagnosis, fail, of_error, ok, warn
from forebay.doctor.check_project import compiled
from forebay.terminal import size_text
from lakehouse.data_files.manifests import entries_of, manifests_of
from lakehouse.describe_tables import describe_table
from lakehouse.lake import find_table, load_table, open_lake, read_state, table_names
from lakehouse.local_path import is_local, local_path
from serving.state import load_state
from serving.stores import NoStoreError, StoredView, open_store

LAKE, BUILT, STORE = "lake", "built", "store"
#: So many snapshots make each commit slow: each writes all of them down anew.
_MANY_SNAPSHOTS = 500


def check_lake(project: Project) -> Iterator[Diagnosis]:
    """Check that the catalog opens and each table's metadata is readable."""
    lake = open_lake(project.lake)
    size, tables = 0, table_names(lake)
    for name in tables:
        try:
            facts = describe_table(lake, name)
            lost = _lost_files(load_table(lake, name))
        except DataError as error:
            found = of_error(LAKE, error)
            yield replace(found, said=f"table {name}: {found.said}")
            continue
        size += facts.bytes
        if lost:
            yield fail(
                LAKE,
                f"table {name}: {counted(len(lost), 'file')} that it names "
                f"{'is' if len(lost) == 1 else 'are'} missing, {lost[0]} first",
                "restore it, or roll the table back to a snapshot",
            )
        if facts.rows is None:
            yield warn(
                LAKE,
                f"{name}: only reading its files would tell how many rows it has",
                f"`forebay tables {name}` shows it; a damaged manifest, or equality deletes, do that",
            )
        if facts.snapshots > _MANY_SNAPSHOTS:
            yield warn(
                LAKE,
                f"{name} keeps {facts.snapshots:,} snapshots, which makes each commit slower",
                "run `forebay maintain`, every hour from cron",
            )
    where = public_uri(project.lake.get("uri", ""))
    yield ok(LAKE, f"{counted(len(tables), 'table')}, {size_text(size)}, at {where}")


def _lost_files(table: Table) -> list[str]:
    """The local files of the table as it stands that are not there; others would be asked one by one."""
    head = table.current_snapshot()
    manifests = manifests_of(table, head.snapshot_id if head else None)
    paths = [e.data_file.file_path for m in manifests for e in entries_of(table, m)]
    return [p for p in paths if is_local(p) and not Path(local_path(p)).exists()]


def check_built(project: Project) -> Iterator[Diagnosis]:
    """Check that each compiled view is built from the same query, and that its leaves exist."""
    catalog = compiled(project)
    if catalog is None or not catalog.views:
        return
    lake = open_lake(project.lake)
    for name in sorted({leaf.table for leaf in catalog.leaves.values()}):
        if _missing(lake, name):
            yield fail(
                BUILT,
                f"table {name} is missing, and feature views read it",
                f"`forebay ingest {name} FILE` loads it",
            )
    never: list[str] = []
    other: list[str] = []
    for view in catalog.views.values():
        state = read_state(find_table(lake, view.table))
        if state is None:
            never.append(view.name)
        elif state.semantic_hash != view.semantic_hash:
            other.append(view.name)
    if never:
        yield warn(BUILT, f"not built yet: {', '.join(never)}", "run `forebay build`")
    if other:
        yield warn(
            BUILT,
            f"built from another query than the one compiled: {', '.join(other)}",
            "run `forebay plan`, then `forebay build`",
        )
    if not never and not other:
        yield ok(BUILT, f"{counted(len(catalog.views), 'feature view')}, as compiled")


def _missing(lake: Lake, name: str) -> bool:
    return find_table(lake, name) is None


def check_store(project: Project) -> Iterator[Diagnosis]:
    """Check that the online store answers, and has each view's rows of the compiled query."""
    catalog = compiled(project)
    where = public_uri(project.online)
    try:
        store = open_store(project.online, readonly=True)
    except NoStoreError:
        yield warn(STORE, f"there is no online store at {where} yet", "run `forebay sync`")
        return
    try:
        views = () if catalog is None else catalog.views.values()
        states = {v.name: store.get_state(StoredView.of(v)) for v in views}
    finally:
        store.close()
    absent = [name for name, raw in states.items() if load_state(raw) is None]
    if absent:
        yield warn(
            STORE,
            f"not synced as compiled: {', '.join(absent)}; a server answers these as they were, or "
            "with 503",
            "run `forebay build`, then `forebay sync`",
        )
    else:
        yield ok(STORE, f"{counted(len(states), 'feature view')} at {where}")
