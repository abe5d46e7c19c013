"""SQL by which an engine reads a table of the lake as it was pinned, under its columns of now."""

from __future__ import annotations

from collections.abc import Sequence

from pyiceberg.manifest import ManifestEntry
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IcebergType, NestedField
from sqlglot import exp

from feature_specs.errors import DataError
from lakehouse.duckdb_types import duckdb_type
from lakehouse.engines.result_types import engine_type
from lakehouse.engines.table_names import TableNames
from lakehouse.scan import Pinned

#: What an engine calls the file that a row stands in.
_FILE = {"trino": '"$path"', "spark": "_file"}


def pinned_relation(names: TableNames, pinned: Pinned, files: Sequence[str] | None = None) -> str:
    """SQL to stand in FROM, of a table at the snapshot that it is pinned to.

    Engines read a snapshot under the schema that it was written by. Where the table's columns have
    changed since, these are named and typed as they are now.

    Args:
        files: the only data files whose rows are wanted, as the snapshot names them.
    """
    table, identifier = pinned.table, ".".join(pinned.table.name())
    if pinned.snapshot is None or files == ():
        return f"(select * from {names.table(identifier)} where false)"
    source = names.at_snapshot(identifier, pinned.snapshot)
    then, now = _schema_at(table, pinned.snapshot), table.schema()
    if then.schema_id == now.schema_id and files is None:
        return source
    columns = ", ".join(_column(field, then, names) for field in now.fields)
    # Spark escapes a quote by a backslash, and reads a doubled one as none.
    listed = ", ".join(exp.Literal.string(file).sql(names.engine) for file in files or ())
    where = f" where {_FILE[names.engine]} in ({listed})" if files is not None else ""
    return f"(select {columns} from {source}{where})"


def added_rows(names: TableNames, pinned: Pinned, added: Sequence[ManifestEntry]) -> str:
    """SQL to stand in FROM, of the rows that stand in some of a table's files.

    Args:
        added: files of the pinned snapshot, or of one before it that only appended them: they may
            have been rewritten since.
    """
    wanted = {e.data_file.file_path for e in added}
    here = {e.data_file.file_path for e in pinned.files}
    if wanted == here and not pinned.deletes:
        return pinned_relation(names, pinned)
    parts = [pinned_relation(names, pinned, tuple(sorted(wanted & here)))]
    elsewhere: dict[int | None, list[str]] = {}
    for entry in added:
        if entry.data_file.file_path not in here:
            elsewhere.setdefault(entry.snapshot_id, []).append(entry.data_file.file_path)
    for snapshot, paths in elsewhere.items():
        then = Pinned(pinned.table, snapshot)
        parts.append(pinned_relation(names, then, tuple(sorted(paths))))
    if len(parts) == 1:
        return parts[0]
    return f"({' union all '.join(f'select * from {part}' for part in parts)})"


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
