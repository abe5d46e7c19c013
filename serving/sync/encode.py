"""Reading a feature table or its log as stored rows, by DuckDB on all cores and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from feature_specs.quote import literal
from lakehouse.relations import tune
from serving.sync.row_sql import RowSql
from serving.sync.spill import spill_folder

#: Beyond it DuckDB's sort goes to files in the system's folder for temporary ones ($TMPDIR).
MEMORY_LIMIT = "1GB"
#: Rows a batch in Python; DuckDB's own vectors hold 2,048.
_BATCH = 8_192


@contextmanager
def encoding(rows: RowSql) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for queries over ``rows``; says what is wrong where a value cannot be stored."""
    with spill_folder() as spill, duckdb.connect() as connection:
        tune(connection)
        connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"set temp_directory = {literal(str(spill))}")
        connection.execute("set arrow_large_buffer_size = true")
        try:
            yield connection
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            refused = rows.refusal(error)
            if refused is None:
                raise
            raise refused from error


def read_batches(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[Sequence[list[Any]]]:
    """The columns of a query's rows, some thousand rows at a time."""
    for batch in connection.sql(sql).to_arrow_reader(_BATCH):
        yield [column.to_pylist() for column in batch.columns]
