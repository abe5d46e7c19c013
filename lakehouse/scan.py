"""The files of an Iceberg table at one snapshot, or between two, and SQL that reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import duckdb
from pyiceberg.manifest import ManifestContent, ManifestEntry
from pyiceberg.schema import index_by_name
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from feature_specs.errors import DataError
from lakehouse.manifests import entries_of, entries_with, manifests_of
from lakehouse.project_columns import NAME_MAPPING
from lakehouse.select_rows import select_rows


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

    @cached_property
    def sights(self) -> dict[str, object]:
        """What was counted of its rows (``lakehouse.notice_rows``), by what was asked."""
        return {}


def pin(table: Table) -> Pinned:
    """Hold on to the current snapshot."""
    current = table.current_snapshot()
    return Pinned(table, None if current is None else current.snapshot_id)


def define_view(
    connection: duckdb.DuckDBPyConnection, relation: str, pinned: Pinned, *, temporary: bool = False
) -> None:
    """Create or replace ``relation`` over a table."""
    kind = "temp " if temporary else ""
    try:
        connection.execute(f"create or replace {kind}view {relation} as {pinned.sql}")
    except duckdb.CatalogException as error:
        if "is of type Table" not in str(error):
            raise
        shown = relation.replace('"', "")
        raise DataError(
            f"{shown} is a table in the project's DuckDB file, and is to be a view of the lake's "
            f"{'.'.join(pinned.table.name())}",
            where=shown,
            mend=f"if the lake has its rows, run `drop table {shown}` in that file; else declare "
            "the leaf under another name or schema",
        ) from None


def added_files(
    table: Table, since: int | None, until: int | None
) -> tuple[ManifestEntry, ...] | None:
    """The data files appended after one snapshot, up to another.

    None where that is not the whole difference: rows were removed or rewritten, or the older
    snapshot has expired.
    """
    if since == until:
        return ()
    by_id = {s.snapshot_id: s for s in table.snapshots()}
    if since is not None and since not in by_id:
        return None
    walked: list[Snapshot] = []
    cursor = until
    while cursor is not None and cursor != since:
        snapshot = by_id.get(cursor)
        if snapshot is None or snapshot.summary is None:
            return None
        if snapshot.summary.operation is not Operation.APPEND:
            return None
        walked.append(snapshot)
        cursor = snapshot.parent_snapshot_id
    if cursor != since:
        return None
    if not walked:
        return None
    wanted = {s.snapshot_id for s in walked}
    came = [m for m in manifests_of(table, until) if m.added_snapshot_id in wanted]
    if any(m.content is ManifestContent.DELETES for m in came):
        return None
    return tuple(e for m in came for e in entries_of(table, m) if e.snapshot_id in wanted)


def reading_of(table: Table) -> str:
    """What decides, beside its files, what a table's rows are: its schema, and its name mapping.

    Neither makes a snapshot when it changes, so a feature table's state holds it beside them.
    """
    mapping = table.properties.get(NAME_MAPPING)
    mapped = "" if mapping is None else hashlib.sha256(mapping.encode()).hexdigest()[:12]
    return f"{table.metadata.current_schema_id}:{mapped}"


def reads_alike(table: Table, before: str | None) -> bool:
    """Whether every column reads as it did under an earlier ``reading_of``.

    A column that is new was in no earlier query; one that was dropped or renamed, and another that
    has its name now, do not hold what it held.
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
    was, now = index_by_name(known[int(number)]), index_by_name(table.schema())
    return all(was.get(name, field_id) == field_id for name, field_id in now.items())
