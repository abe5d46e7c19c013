"""SQL by which an engine reads a table of the lake as it was pinned, under its columns of now."""

from __future__ import annotations

from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IcebergType, NestedField

from feature_specs.errors import DataError
from lakehouse.duckdb_types import duckdb_type
from lakehouse.engines.result_types import engine_type
from lakehouse.engines.table_names import TableNames
from lakehouse.scan import Pinned


def pinned_relation(names: TableNames, pinned: Pinned) -> str:
    """SQL to stand in FROM, of a table at the snapshot that it is pinned to.

    Engines read a snapshot under the schema that it was written by. Where the table's columns have
    changed since, these are named and typed as they are now.
    """
    table, identifier = pinned.table, ".".join(pinned.table.name())
    if pinned.snapshot is None:
        return f"(select * from {names.table(identifier)} where false)"
    source = names.at_snapshot(identifier, pinned.snapshot)
    then, now = _schema_at(table, pinned.snapshot), table.schema()
    if then.schema_id == now.schema_id:
        return source
    columns = ", ".join(_column(field, then, names) for field in now.fields)
    return f"(select {columns} from {source})"


def _schema_at(table: Table, snapshot: int) -> Schema:
    found = table.snapshot_by_id(snapshot)
    number = None if found is None else found.schema_id
    return table.schema() if number is None else table.schemas()[number]


def _column(field: NestedField, then: Schema, names: TableNames) -> str:
    kind = _type(field.field_type, field.name, names)
    before = next((f for f in then.fields if f.field_id == field.field_id), None)
    if before is None:
        return f"cast(null as {kind}) as {names.column(field.name)}"
    value = names.column(before.name)
    if before.field_type != field.field_type:
        value = f"cast({value} as {kind})"
    return f"{value} as {names.column(field.name)}"


def _type(kind: IcebergType, column: str, names: TableNames) -> str:
    if not kind.is_primitive:
        raise DataError(
            f"column {column!r} came or changed after the table's last rows, and is a {kind}",
            where=f"engine {names.engine}",
            hint="write rows to the table first, or use `--engine duckdb`",
        )
    return engine_type(duckdb_type(kind), names.engine)
