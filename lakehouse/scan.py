"""The files of an Iceberg table at one snapshot, or between two, and SQL that reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import duckdb
from pyiceberg.manifest import ManifestContent, ManifestEntry
from pyiceberg.schema import index_by_name
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from feature_specs.errors import DataError
from feature_specs.names import fold_name
from lakehouse.data_files.manifests import entries_of, entries_with, manifests_of
from lakehouse.data_files.project_columns import NAME_MAPPING
from lakehouse.data_files.select_rows import select_rows
from lakehouse.remote.mount_files import mount


@dataclass(frozen=True)
class Pinned:
    """An Iceberg table as it stood when it was looked at. Its files are planned once asked for."""

    table: Table
    snapshot: int | None

    @cached_property
    def files(self) -> tuple[ManifestEntry, ...]:
        """Its data files."""
        return entries_with(self.table, self.snapshot, ManifestContent.DATA)

    @cached_property
    def deletes(self) -> tuple[ManifestEntry, ...]:
        """The files that say which rows are no longer there."""
        return entries_with(self.table, self.snapshot, ManifestContent.DELETES)

    @cached_property
    def sql(self) -> str:
        """A SELECT of its rows.

        Raises:
            DataError: a file cannot be read, or is of a kind that is not; names it.
        """
        return select_rows(self.table, self.files, self.deletes)

    def plan(self) -> None:
        """Plan the files now. Raises DataError where one cannot be read, as `sql` does."""
        _ = self.sql

    @cached_property
    def sights(self) -> dict[str, object]:
        """What was counted of its rows (``lakehouse.notice_rows``), by what was asked."""
        return {}


def pin(table: Table) -> Pinned:
    """Hold on to the current snapshot."""
    current = table.current_snapshot()
    return Pinned(table, None if current is None else current.snapshot_id)


def under_schema(table: Table, number: int) -> Table:
    """The same table as its columns were called and typed under one of its schemas."""
    if table.metadata.current_schema_id == number:
        return table
    metadata = table.metadata.model_copy(update={"current_schema_id": number})
    return Table(table.name(), metadata, table.metadata_location, table.io, table.catalog)


def define_relation(
    connection: duckdb.DuckDBPyConnection, relation: str, pinned: Pinned, *, temporary: bool = False
) -> None:
    """Create or replace ``relation`` over a table."""
    select = pinned.sql
    mount(connection)
    if temporary:
        connection.execute(f"create or replace temp view {relation} as {select}")
    else:
        create_view(connection, relation, ".".join(pinned.table.name()), select)


def create_view(
    connection: duckdb.DuckDBPyConnection, relation: str, table: str, select: str
) -> None:
    """Create or replace ``relation``, which stands for an Iceberg table.

    Raises:
        DataError: it is a table, which only its owner may drop.
    """
    try:
        connection.execute(f"create or replace view {relation} as {select}")
    except duckdb.CatalogException as error:
        if "is of type Table" not in str(error):
            raise
        shown = relation.replace('"', "")
        raise DataError(
            f"{shown} is a table in the project's DuckDB file, and is to be a view of the lake's "
            f"{table}",
            where=shown,
            hint=f"if the lake has its rows, run `drop table {shown}` in that file; else declare "
            "the leaf under another name or schema",
        ) from None


def added_files(
    table: Table,
    since: int | None,
    until: int | None,
    passed: Callable[[Snapshot], bool] | None = None,
) -> tuple[ManifestEntry, ...] | None:
    """The data files appended after one snapshot, up to another.

    A ``replace`` snapshot, of whichever engine, changes no rows (Iceberg's specification says so of
    the operation), and is passed over: what it has rewritten is given as it was appended.

    None where that is not the whole difference: rows were removed or changed, or a snapshot of the
    line in between has expired.

    Args:
        passed: whether a snapshot that removed rows makes no difference either.
    """
    if since == until:
        return ()
    runs = _runs_of_appends(table, since, until, passed or _never)
    if runs is None:
        return None
    added: list[ManifestEntry] = []
    for last, appends in runs:
        manifests = manifests_of(table, last)
        came = [m for m in manifests if m.added_snapshot_id in appends]
        if any(m.content == ManifestContent.DELETES for m in came):
            return None
        added += (e for m in came for e in entries_of(table, m) if e.snapshot_id in appends)
    if since is None and not _begins_empty(table, runs):
        return None
    return tuple(added)


#: Appends in a row: the last of them, by whose list of manifests all are known, and all of them.
_Runs: TypeAlias = list[tuple[int, set[int]]]


def _never(snapshot: Snapshot) -> bool:
    return False


def _runs_of_appends(
    table: Table, since: int | None, until: int | None, passed: Callable[[Snapshot], bool]
) -> _Runs | None:
    """The appends after a snapshot, newest first; None where something else was done too."""
    by_id = {s.snapshot_id: s for s in table.snapshots()}
    runs: _Runs = []
    cursor, after_replace = until, True
    while cursor is not None and cursor != since:
        snapshot = by_id.get(cursor)
        if snapshot is None or snapshot.summary is None:
            return None
        operation = snapshot.summary.operation
        if operation == Operation.APPEND:
            if after_replace:
                runs.append((cursor, set()))
            runs[-1][1].add(cursor)
        elif operation != Operation.REPLACE and not passed(snapshot):
            return None
        after_replace = operation != Operation.APPEND
        cursor = snapshot.parent_snapshot_id
    if cursor != since or (since is not None and since not in by_id):
        return None
    return None if since is None and after_replace else runs


def _begins_empty(table: Table, runs: _Runs) -> bool:
    """Whether nothing was there before the oldest run: who expires a snapshot cuts the line there."""
    last, appends = runs[-1]
    return all(
        e.snapshot_id in appends for m in manifests_of(table, last) for e in entries_of(table, m)
    )


def reading_of(table: Table) -> str:
    """What decides, beside its files, what a table's rows are: its schema, and its name mapping.

    Neither makes a snapshot when it changes, so a feature table's state holds it beside them.
    """
    mapping = table.properties.get(NAME_MAPPING)
    mapped = "" if mapping is None else hashlib.sha256(mapping.encode()).hexdigest()[:12]
    return f"{table.metadata.current_schema_id}:{mapped}"


def columns_read_alike(
    table: Table, before: str | None, names: Collection[str] | None = None
) -> bool:
    """Whether columns read as they did under an earlier ``reading_of``.

    A column that is new was in no earlier query; one that was dropped or renamed, and another that
    has its name now, do not hold what it held. Rows as a whole, and structs, also read in another
    way where a field of theirs is gone, or where fields have changed places.

    Args:
        names: the columns asked about, and what is nested in them, in lower case; None for rows as a
            whole.
    """
    if before is None:
        return False
    number, _, mapped = before.partition(":")
    if reading_of(table).partition(":")[2] != mapped:
        return False
    if int(number) == table.metadata.current_schema_id:
        return True
    known = table.schemas()
    if int(number) not in known:
        return False
    was, now = (
        {n: i for n, i in index_by_name(schema).items() if names is None or _top(n) in names}
        for schema in (known[int(number)], table.schema())
    )
    if any(was.get(name, field_id) != field_id for name, field_id in now.items()):
        return False
    parts = [i for name, i in was.items() if names is None or "." in name]
    return [i for i in now.values() if i in set(parts)] == parts


def _top(name: str) -> str:
    """The column that a field is, or is nested in, in lower case."""
    return fold_name(name.partition(".")[0])
