"""Reading Iceberg tables in DuckDB: a SELECT over their files, column by field id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import duckdb
from pyiceberg.manifest import ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.errors import DataError
from lakehouse.lake import local_path
from lakehouse.manifests import data_files, entries_of, manifests_of
from lakehouse.quote import literal, quoted

_PRIMITIVES: Mapping[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMP WITH TIME ZONE",
    StringType: "VARCHAR",
    UUIDType: "UUID",
    BinaryType: "BLOB",
    FixedType: "BLOB",
}


def duckdb_type(kind: IcebergType) -> str:
    """The DuckDB type of an Iceberg type.

    Raises:
        DataError: DuckDB has none.
    """
    if type(kind) in _PRIMITIVES:
        return _PRIMITIVES[type(kind)]
    match kind:
        case DecimalType():
            return f"DECIMAL({kind.precision},{kind.scale})"
        case ListType():
            return f"{duckdb_type(kind.element_type)}[]"
        case MapType():
            return f"MAP({duckdb_type(kind.key_type)}, {duckdb_type(kind.value_type)})"
        case StructType():
            fields = ", ".join(f"{quoted(f.name)} {duckdb_type(f.field_type)}" for f in kind.fields)
            return f"STRUCT({fields})"
    raise DataError(
        f"Iceberg type {kind} has no DuckDB type", where="schema", mend="cast it before loading"
    )


def column_types(schema: Schema) -> dict[str, str]:
    """Column name to DuckDB type."""
    return {f.name: duckdb_type(f.field_type) for f in schema.fields}


@dataclass(frozen=True)
class Pinned:
    """An Iceberg table as it stood when it was looked at. Its files are planned once asked for."""

    table: Table
    snapshot: int | None

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of its data files."""
        found = data_files(self.table, self.snapshot)
        return tuple(local_path(file.file_path) for file in found)

    @cached_property
    def delete_files(self) -> bool:
        """Whether rows must be taken out of those files on reading."""
        if all(m.content is ManifestContent.DATA for m in manifests_of(self.table, self.snapshot)):
            return False
        tasks = self.table.scan(snapshot_id=self.snapshot).plan_files()
        return any(task.delete_files for task in tasks)


def pin(table: Table) -> Pinned:
    """Hold on to the current snapshot."""
    current = table.current_snapshot()
    return Pinned(table, None if current is None else current.snapshot_id)


def files_sql(schema: Schema, files: Iterable[str]) -> str:
    """A SELECT of a schema's columns from Parquet files, mapped by field id.

    Files written before a column was added or renamed read as the schema now says.
    """
    listed = ", ".join(literal(f) for f in files)
    if not listed:
        columns = (
            f"cast(null as {kind}) as {quoted(name)}" for name, kind in column_types(schema).items()
        )
        return f"select {', '.join(columns)} where false"
    fields = ", ".join(
        f"{f.field_id}: {{name: {literal(f.name)}, type: {literal(duckdb_type(f.field_type))}, "
        "default_value: NULL}"
        for f in schema.fields
    )
    return f"select * from read_parquet([{listed}], schema = MAP {{{fields}}})"


def define_view(
    connection: duckdb.DuckDBPyConnection, relation: str, pinned: Pinned, *, temporary: bool = False
) -> None:
    """Create or replace ``relation`` over a table. Rows under delete files go through Arrow."""
    kind = "temp " if temporary else ""
    if not pinned.delete_files:
        select = files_sql(pinned.table.schema(), pinned.files)
        connection.execute(f"create or replace {kind}view {relation} as {select}")
        return
    _define_table(connection, relation, pinned, kind)


def rows_of(connection: duckdb.DuckDBPyConnection, name: str, pinned: Pinned) -> str:
    """A SELECT of a table's rows; ``name`` is for a temporary table, where it needs one."""
    if not pinned.delete_files:
        return files_sql(pinned.table.schema(), pinned.files)
    _define_table(connection, name, pinned, "temp ")
    return f"select * from {name}"


def _define_table(
    connection: duckdb.DuckDBPyConnection, relation: str, pinned: Pinned, kind: str
) -> None:
    rows = pinned.table.scan(snapshot_id=pinned.snapshot).to_arrow()
    connection.register("forebay_scanned", rows)
    connection.execute(f"create or replace {kind}table {relation} as select * from forebay_scanned")
    connection.unregister("forebay_scanned")


def added_files(table: Table, since: int | None, until: int | None) -> tuple[str, ...] | None:
    """Paths of the data files appended after one snapshot, up to another.

    None where that is not the whole difference: rows were removed or rewritten, or the older
    snapshot has expired.
    """
    if since == until:
        return ()
    by_id = {s.snapshot_id: s for s in table.snapshots()}
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
    files = [
        local_path(entry.data_file.file_path)
        for manifest in manifests_of(table, until)
        if manifest.added_snapshot_id in wanted
        for entry in entries_of(table, manifest)
        if entry.snapshot_id in wanted
    ]
    return tuple(files)


def same_meaning(table: Table, since: int | None) -> bool:
    """Whether every column is the one that went by its name at an earlier snapshot.

    A column that is new reads as null in all earlier rows, which is what those rows mean; one that
    was dropped and added again under its name does not hold what it held.
    """
    snapshot = table.snapshot_by_id(since) if since is not None else None
    if snapshot is None or snapshot.schema_id is None:
        return snapshot is None
    if snapshot.schema_id == table.schema().schema_id:
        return True
    was = {f.name: f for f in table.schemas()[snapshot.schema_id].fields}
    return all(
        f.name not in was or f.field_id == was[f.name].field_id for f in table.schema().fields
    )
