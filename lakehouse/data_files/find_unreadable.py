"""Find the data file behind an error that DuckDB raised while it read one.

A file may be damaged behind a footer that is whole: that shows only when its rows are read, and
DuckDB does not always say in which file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import duckdb

from feature_specs.errors import DataError
from lakehouse.data_files.footers import path_sql, unreadable_data_file
from lakehouse.local_path import local_path
from lakehouse.scan import Pinned

#: What DuckDB raises over rows that a query cannot take.
BROKEN_ROWS = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
)

#: Classes of what DuckDB raises over damaged bytes without naming the file.
_NAMELESS = (duckdb.Error, duckdb.IOException, duckdb.SerializationException)


def find_unreadable(
    connection: duckdb.DuckDBPyConnection, error: duckdb.Error, tables: Iterable[Pinned]
) -> DataError | None:
    """The error of the data file of some tables that cannot be read; None if that was not it."""
    paths = [local_path(e.data_file.file_path) for t in tables for e in (*t.files, *t.deletes)]
    quoted = set(re.findall(r"""["']([^"']+)["']""", str(error)))
    named = next((p for p in paths if p in quoted), None)
    if named is not None:
        return unreadable_data_file(named, error)
    if type(error) not in _NAMELESS:
        return None
    for path in paths:
        try:
            connection.execute(
                f"select bit_xor(hash(r)) from read_parquet([{path_sql(path)}]) as r"
            )
        except duckdb.Error as found:
            return unreadable_data_file(path, found)
    return None
