"""Read a Parquet file's columns by their own types, and refuse what DuckDB would read as another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from feature_specs.errors import DataError, Location
from feature_specs.names import fold_name
from feature_specs.quote import quoted
from lakehouse.data_files.any_value import Test, any_value
from lakehouse.data_files.footers import INT96, FileColumn, path_sql, shape_of
from lakehouse.data_files.int96 import (
    INT96_AS_NANOSECONDS,
    INT96_AS_STRUCT,
    is_beyond_nanoseconds,
    is_finer,
)
from lakehouse.data_files.nan_bounds import without_bounds
from lakehouse.data_files.old_calendar import is_early
from lakehouse.ingest.source import Source, check_names, first_row, unreadable_file


def open_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> Source:
    """The columns of a Parquet file; its folders' names are not columns.

    Raises:
        DataError: it is not a Parquet file, or has columns whose values DuckDB does not read as they are.
    """
    try:
        call = _read_parquet(connection, path)
        described = connection.execute(f"describe select * from {call}").fetchall()
        # DuckDB numbers names that are alike; the file's own say that they are.
        schema = pq.read_schema(path)
    except (duckdb.Error, OSError, ValueError) as error:
        raise unreadable_file(path, error) from None
    check_names(schema.names, str(path))
    shape = {column.name: column for column in shape_of(str(path))}
    relation, numbered = without_bounds(call, shape), ""
    if "file_row_number" not in map(fold_name, schema.names):
        numbered = without_bounds(f"{call.removesuffix(')')}, file_row_number = true)", shape)
    for field in schema:
        _check(field, field.name, path)
    kinds = {column: kind for column, kind, *_ in described}
    return Source(path, relation, kinds, lambda n: Location(f"{path}, row {n}"), numbered=numbered)


def _read_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """A call that reads the file, its times of type INT96 in microseconds where they all are."""
    shape = shape_of(str(path))
    call = f"read_parquet({path_sql(str(path.absolute()))}, hive_partitioning = false"
    early = [c for c in shape if _holds(connection, f"{call})", [c], _is_early)]
    if early:
        raise DataError(
            f"column {early[0].name!r} holds days of the calendar before 1582, or instants by the "
            "clocks before 1900, as old versions of Spark and Hive write them",
            where=str(path),
            hint="read it with spark.read.parquet, and rewrite it with "
            "spark.sql.parquet.datetimeRebaseModeInWrite and int96RebaseModeInWrite = CORRECTED",
        )
    as_structs = f"{call}, {INT96_AS_STRUCT})"
    if not _holds(connection, as_structs, shape, is_finer):
        return f"{call})"
    if _holds(connection, as_structs, shape, is_beyond_nanoseconds):
        raise DataError(
            "times finer than a microsecond stand beside times before 1677 or after 2262",
            where=str(path),
            hint="write them in whole microseconds; nothing was written",
        )
    return f"{call}, {INT96_AS_NANOSECONDS})"


def _holds(
    connection: duckdb.DuckDBPyConnection, call: str, columns: Sequence[FileColumn], test: Test
) -> bool:
    """Whether any value in columns of a file is one that a test looks for."""
    tests = [any_value(quoted(c.name), c, test) for c in columns]
    asked = " or ".join(t for t in tests if t is not None)
    return bool(asked) and (
        first_row(connection, f"select 1 from {call} where {asked} limit 1") is not None
    )


def _is_early(sql: str, column: FileColumn) -> str | None:
    if not column.old_calendar:
        return None
    return is_early(sql, "TIMESTAMP" if column.type == INT96 else column.type)


def _check(field: pa.Field, column: str, path: Path) -> None:
    for what, hint in _faults(field.type):
        raise DataError(f"column {column!r} {what}", where=str(path), hint=hint)
    for child in _children(field.type):
        _check(child, column, path)


def _faults(kind: pa.DataType) -> Iterator[tuple[str, str]]:
    if pa.types.is_decimal256(kind):
        yield (
            f"is {kind}, of which DuckDB reads the nearest double",
            "write it as a decimal of at most 38 digits, or as text",
        )
    if pa.types.is_duration(kind):
        yield (
            f"is {kind}, of which other readers see a number without a unit",
            "write it as an integer, and name the unit in its name",
        )
    if pa.types.is_struct(kind):
        names = [f.name for f in kind]
        folded = [fold_name(n) for n in names]
        alike = [n for n, f in zip(names, folded, strict=True) if folded.count(f) > 1]
        if alike:
            yield (
                f"has fields that are named alike: {alike[0]!r} and {alike[1]!r}",
                "rename one of them; SQL does not tell capitals apart",
            )


def _children(kind: pa.DataType) -> list[pa.Field]:
    return [kind.field(n) for n in range(kind.num_fields)] if pa.types.is_nested(kind) else []
