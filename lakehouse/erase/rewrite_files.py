"""Rewrite the data files that hold an entity's rows, without them.

A row that a delete file takes out still stands in its data file, so files are sought by what is in
them, and rewritten files take nothing along that was deleted.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, ManifestEntry
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from lakehouse.count_rows import count_rows
from lakehouse.data_files.manifests import manifests_of
from lakehouse.data_files.select_rows import select_rows
from lakehouse.duckdb_types import column_types
from lakehouse.pyiceberg_internals import ChangeFiles, SteadyTransaction, write_files
from lakehouse.remote.mount_files import mount
from lakehouse.scan import Pinned, pin
from lakehouse.stream.fence import FENCE, read_fence
from lakehouse.write_rows import ROWS_PROPERTY, may_copy, overtaken, write_file


@dataclass(frozen=True)
class Found:
    """An entity's rows in a table's current files.

    Attributes:
        files: entries of the files that hold some.
        rows: how many there are, those included that are deleted already.
        living: how many of them the table still has.
    """

    files: tuple[ManifestEntry, ...]
    rows: int
    living: int


def find_entity_rows(
    connection: duckdb.DuckDBPyConnection, pinned: Pinned, predicate: str
) -> Found:
    """Find an entity's rows in every data file of a table's current snapshot.

    Raises:
        DataError: a file cannot be read.
    """
    mount(connection)
    pinned.plan()  # the footers of all files at once, and not of one after the other
    held, rows, living = [], 0, 0
    for entry in pinned.files:
        among = _count(connection, select_rows(pinned.table, [entry]), predicate)
        if among:
            held.append(entry)
            rows += among
            living += _count(
                connection, select_rows(pinned.table, [entry], pinned.deletes), predicate
            )
    return Found(tuple(held), rows, living)


def _count(connection: duckdb.DuckDBPyConnection, select: str, predicate: str) -> int:
    counted = connection.execute(f"select count(*) from ({select}) where {predicate}").fetchall()
    return int(counted[0][0])


def remove_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    found: Found,
    predicate: str,
    *,
    summary: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    spared: bool = False,
) -> None:
    """Commit the table without the rows; writes nothing if it holds none.

    A partitioned table is written file by file, so that each stays in its partition and in memory.

    Args:
        summary: what the snapshot says of itself.
        properties: of the table, set in the same commit.
        spared: whether manifests without removed files stay as they are; else none is left that
            names a removed file with its bounds.

    Raises:
        DataError: another writer committed meanwhile.
    """
    pinned = pin(table)
    if not found.files:
        return
    gone = {e.data_file.file_path for e in found.files}
    kept = [e for e in pinned.files if e.data_file.file_path not in gone]
    whole = may_copy(table, column_types(table.schema()))
    added: list[DataFile] = []
    for files in [found.files] if whole else [(file,) for file in found.files]:
        rows = select_rows(table, files, pinned.deletes)
        added += _write(connection, table, f"select * from ({rows}) where not {predicate}")
    _commit(
        table,
        Operation.OVERWRITE,
        kept=(kept, list(pinned.deletes) if kept else []),
        removed=[*found.files, *(() if kept else pinned.deletes)],
        added=added,
        rows=count_rows(table) - found.living,
        summary=summary or {},
        properties=properties or {},
        spared=spared,
    )


def _write(connection: duckdb.DuckDBPyConnection, table: Table, sql: str) -> list[DataFile]:
    if may_copy(table, column_types(table.schema())):
        written = write_file(connection, table, sql)
        for file in (f for f in written if not f.record_count):
            table.io.delete(file.file_path)
        return [f for f in written if f.record_count]
    rows = connection.sql(sql).to_arrow_table()
    if not rows.num_rows:
        return []
    rows = rows.cast(schema_to_pyarrow(table.schema(), include_field_ids=False))
    return list(write_files(table.transaction(), rows, uuid.uuid4(), itertools.count()))


def rewrite_manifests(table: Table) -> bool:
    """Rewrite manifests that name removed files. Returns whether there were any.

    The commit that takes a file out names it once more, with the least and greatest values in it.

    Raises:
        DataError: another writer committed meanwhile.
    """
    pinned = pin(table)
    manifests = manifests_of(table, pinned.snapshot)
    if not any(m.deleted_files_count for m in manifests):
        return False
    _commit(
        table,
        Operation.REPLACE,
        kept=(pinned.files, pinned.deletes),
        removed=(),
        added=(),
        rows=count_rows(table),
    )
    return True


def _commit(
    table: Table,
    operation: Operation,
    *,
    kept: tuple[Sequence[ManifestEntry], Sequence[ManifestEntry]],
    removed: Sequence[ManifestEntry],
    added: Sequence[DataFile],
    rows: int,
    summary: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    spared: bool = False,
) -> None:
    transaction = SteadyTransaction(table)
    try:
        with ChangeFiles(operation, transaction, table.io) as change:
            change.snapshot_properties = {ROWS_PROPERTY: str(rows), **(summary or {})}
            fence = read_fence(table)
            if fence is not None:
                change.snapshot_properties[FENCE] = fence.dumps()
            change.kept, change.removed, change.spared = kept, removed, spared
            for file in added:
                change.append_data_file(file)
        transaction.set_properties(dict(properties or {}))
        transaction.commit_transaction()
    except CommitFailedException:
        for file in added:
            table.io.delete(file.file_path)
        raise overtaken(".".join(table.name())) from None
