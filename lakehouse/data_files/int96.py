"""Read times of Parquet's old type INT96, a day and the nanoseconds since its midnight.

Spark, Hive and Impala write it. DuckDB alone cuts it to whole microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.data_files.footers import INT96, FileColumn

#: Option of ``read_parquet``: a time is a ``STRUCT(date DATE, time TIME_NS)``, as it stands.
INT96_AS_STRUCT = "int96_as = 'struct'"

#: Option of ``read_parquet``: a time is a ``TIMESTAMP_NS``, from September 1677 to April 2262.
INT96_AS_NANOSECONDS = "int96_as = 'timestamp_ns'"


def holds_int96(columns: Iterable[FileColumn]) -> bool:
    """Whether such times stand in columns, or in fields within them."""
    return any(c.type == INT96 or holds_int96(c.children) for c in columns)


def int96_microseconds(sql: str) -> str:
    """SQL of the microseconds since the epoch of a time as a struct; what is finer rounds up."""
    return f"epoch_us({sql}.date) + (epoch_ns({sql}.time) + 999) // 1000"


def is_finer(sql: str, column: FileColumn) -> str | None:
    """SQL of whether a time as a struct is not a whole microsecond; None for other columns."""
    return f"epoch_ns({sql}.time) % 1000 != 0" if column.type == INT96 else None


def is_beyond_nanoseconds(sql: str, column: FileColumn) -> str | None:
    """SQL of whether a time as a struct is one that ``TIMESTAMP_NS`` does not hold."""
    first = "{'date': date '1677-09-21', 'time': time_ns '00:12:43.145224193'}"
    last = "{'date': date '2262-04-11', 'time': time_ns '23:47:16.854775807'}"
    return f"{sql} not between {first} and {last}" if column.type == INT96 else None
