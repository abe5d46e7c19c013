"""Find Parquet files whose early times are of the old calendar, Julian before October 1582.

Spark before 3.0, and later ones where they are told to, write the day numbers of that calendar, and
instants before 1900 by clocks that differ from those of today's zones. Their footers say so. Iceberg
takes the numbers as they stand, which is days off; so such a value is refused, once it is read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import duckdb

from feature_specs.quote import literal

_SPARK = "org.apache.spark."
_KEYS = (
    *(f"{_SPARK}{key}" for key in ("version", "legacyDateTime", "legacyINT96")),
    f"{_SPARK}sql.parquet.row.metadata",
    "writer.date.proleptic",
)


def old_calendars(
    connection: duckdb.DuckDBPyConnection, listed: str, paths: Sequence[str]
) -> dict[str, tuple[bool, bool]]:
    """Whether the dates and times of each file, and its INT96, are of the old calendar.

    Args:
        listed: SQL of the list of paths.
    """
    said: dict[str, dict[str, str]] = defaultdict(dict)
    keys = ", ".join(f"'{key}'::blob" for key in _KEYS)
    for path, key, value in connection.execute(
        f"select file_name, key, value from parquet_kv_metadata({listed}) where key in ({keys})"
    ).fetchall():
        said[str(path)][bytes(key).decode()] = bytes(value).decode(errors="replace")
    return {path: _old(said[path]) for path in paths}


def _old(said: Mapping[str, str]) -> tuple[bool, bool]:
    if said.get("writer.date.proleptic") == "false":  # Hive
        return True, True
    version = said.get(f"{_SPARK}version")
    if version is None:
        older = f"{_SPARK}sql.parquet.row.metadata" in said
        return older, older
    number = [int(n) for n in re.findall(r"\d+", version)[:2]]
    return (
        number < [3, 0] or f"{_SPARK}legacyDateTime" in said,
        number < [3, 1] or f"{_SPARK}legacyINT96" in said,
    )


def unless_early(sql: str, kind: str, column: str, file: str) -> str:
    """SQL of a value, which raises if its meaning depends on the calendar.

    Args:
        kind: DuckDB's DATE, or a type of timestamps.
        column, file: for the error: the column's name, and SQL of its file's.
    """
    text = (
        literal(f"column '{column}' of ") + f" || {file} || ' holds ' || {sql} || "
        "', of the calendar before 1582 or the clocks before 1900, as old versions of Spark and "
        "Hive write it. Hint: read the file with spark.read.parquet and write it anew, with "
        "spark.sql.parquet.datetimeRebaseModeInWrite and int96RebaseModeInWrite = CORRECTED'"
    )
    return f"case when {is_early(sql, kind)} then error({text}) else {sql} end"


def is_early(sql: str, kind: str) -> str:
    """SQL of whether the calendars or clocks may differ at that time."""
    return f"{sql} < {kind} '{'1582-10-15' if kind == 'DATE' else '1900-01-01 00:00:00Z'}'"
