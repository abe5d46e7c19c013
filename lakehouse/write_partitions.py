"""Write the rows of a query as data files of a partitioned table, by DuckDB's own Parquet writer.

The partitions that occur are numbered first, so that no value has to come through a folder's name.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import (
    DateType,
    IcebergType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
)

from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import DAY_US
from feature_specs.quote import quoted
from lakehouse.duckdb_types import duckdb_type
from lakehouse.layout import Partition
from lakehouse.local_path import is_local
from lakehouse.write_rows import copy_rows, data_file_of, local_folder, upload

_EPOCH = date(1970, 1, 1)

#: Partitions of one load: beyond, files would hold a few rows each.
MOST_PARTITIONS = 5_000


def write_partitions(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    sql: str,
    partitions: Sequence[Partition],
    sort: Sequence[str] = (),
) -> list[DataFile]:
    """Write rows as files of the partitions that they are in, which no commit names yet.

    Args:
        sort: ORDER BY terms within a partition.

    Raises:
        ForebayError: the rows are of too many partitions.
    """
    schema = table.schema()
    columns = ", ".join(quoted(f.name) for f in schema.fields)
    values = ", ".join(
        f"{partition_sql(connection, part, schema)} as fb_p{i}" for i, part in enumerate(partitions)
    )
    names = [f"fb_p{i}" for i in range(len(partitions))]
    rows = f"(select {columns}, {values} from ({sql}) as given)"
    found = _number_partitions(connection, table, rows, partitions, names)
    joined = " and ".join(f"rows.{n} is not distinct from fb_parts.{n}" for n in names)
    order = ", ".join(["fb_part", *sort])
    # Sorted by partition, so that few files are open at a time.
    numbered = (
        f"select {columns}, fb_part from {rows} as rows join fb_parts on {joined} order by {order}"
    )
    uri = table.location_provider().new_data_location(str(uuid.uuid4()))
    records = {number: _record(values) for number, *values in found}
    with local_folder(uri) as home:
        try:
            copy_rows(connection, table, numbered, None, home, partition="fb_part")
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
        files = []
        for path in sorted(home.rglob("*.parquet")):
            number = int(path.parent.name.removeprefix("fb_part="))
            moved = home / f"{number:05d}-{path.name}"
            path.rename(moved)
            files.append(data_file_of(table, f"{uri}/{moved.name}", moved, records[number]))
            if not is_local(uri):
                upload(table, moved, f"{uri}/{moved.name}")
        for empty in home.glob("fb_part=*"):
            empty.rmdir()
    return files


def _number_partitions(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: str,
    partitions: Sequence[Partition],
    names: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Make the table ``fb_parts`` of the partitions that occur. Returns its rows."""
    where = f"table {'.'.join(table.name())}"
    lost = " or ".join(
        f"({n} is null and {quoted(p.column)} is not null)"
        for n, p in zip(names, partitions, strict=True)
    )
    connection.execute(
        f"create or replace temp table fb_parts as select row_number() over () as fb_part, * from "
        f"(select distinct {', '.join(names)}, {lost} as fb_lost from {rows} "
        f"limit {MOST_PARTITIONS + 1})"
    )
    if connection.execute("select 1 from fb_parts where fb_lost limit 1").fetchall():
        raise DataError(
            f"a value is of no partition by {', '.join(p.text for p in partitions)}, such as an "
            "infinite time",
            where=where,
            hint="take it out of the file, or partition by another column; nothing was written",
        )
    found = connection.execute(f"select fb_part, {', '.join(names)} from fb_parts").fetchall()
    if len(found) > MOST_PARTITIONS:
        raise ForebayError(
            f"its rows are of more than {MOST_PARTITIONS:,} partitions",
            where=where,
            hint="partition by less: by day or month instead of hour, by fewer buckets",
        )
    return found


def partition_sql(connection: duckdb.DuckDBPyConnection, part: Partition, schema: Schema) -> str:
    """SQL of a row's partition value, as Iceberg counts it: days, months and so on since 1970."""
    column, kind = quoted(part.column), schema.find_field(part.column).field_type
    if part.kind == "identity":
        return column
    if part.kind == "bucket":
        return _bucket(connection, part.number, column, kind)
    if part.kind == "truncate":
        if isinstance(kind, StringType):
            return f"substring({column}, 1, {part.number})"
        wide, number = f"{column}::hugeint", part.number
        below = f"({wide} - ((({wide} % {number}) + {number}) % {number}))"
        # Null, and so refused, where the type cannot hold it, as just above its least number.
        return f"try_cast({below} as {duckdb_type(kind)})"
    if isinstance(kind, DateType):
        local, days = column, f"datediff('day', date '1970-01-01', {column})::integer"
    else:
        local = column if isinstance(kind, TimestampType) else f"({column} at time zone 'UTC')"
        days = _floored(local, DAY_US)
    match part.kind:
        case "day":
            return days
        case "hour":
            return _floored(local, DAY_US // 24)
        case "year":
            return f"(extract('year' from {local}) - 1970)::integer"
    months = f"extract('year' from {local}) * 12 + extract('month' from {local})"
    return f"({months} - 1970 * 12 - 1)::integer"


def _floored(local: str, unit: int) -> str:
    """SQL of how many units of microseconds a time is after 1970: what lies before it is of the
    unit in which it lies."""
    us = f"epoch_us({local})"
    return f"(({us} - ((({us} % {unit}) + {unit}) % {unit})) // {unit})::integer"


def _bucket(
    connection: duckdb.DuckDBPyConnection, number: int, column: str, kind: IcebergType
) -> str:
    """Iceberg's own hash, which DuckDB lacks, by its library."""
    try:
        transform: Any = importlib.import_module("pyiceberg_core").transform
    except ImportError:
        raise ForebayError(
            "partitions by bucket need pyiceberg-core, which is not installed",
            where="partition_by",
            hint="run `pip install 'forebay[partitions]'`",
        ) from None
    if isinstance(kind, (TimestamptzType, TimestampType)):
        # The hash of a time is that of its microseconds.
        local = column if isinstance(kind, TimestampType) else f"({column} at time zone 'UTC')"
        column, kind = f"epoch_us({local})", LongType()

    def bucket(values: pa.ChunkedArray) -> pa.Array:
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return transform.bucket(whole, number)

    spelled = duckdb_type(kind)
    name = "fb_bucket_" + re.sub(r"\W", "_", f"{number}_{spelled}")
    with contextlib.suppress(duckdb.InvalidInputException):  # there is none of this name yet
        connection.remove_function(name)
    connection.create_function(
        name, bucket, [duckdb.sqltype(spelled)], duckdb.sqltype("INTEGER"), type=PythonUDFType.ARROW
    )
    return f"{name}({column})"


def _record(values: Sequence[Any]) -> Record:
    """The values as Iceberg's partition holds them."""
    return Record(*(v if not isinstance(v, date) else (v - _EPOCH).days for v in values))
