"""Write the rows of a DuckDB query to a Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

import duckdb

from feature_specs.errors import DataError, first_line
from feature_specs.library_errors import explain_text
from feature_specs.quote import literal, quoted
from forebay.training.exact_columns import parquet_select
from lakehouse.data_files.find_unreadable import find_unreadable
from lakehouse.scan import Pinned
from lakehouse.watch_query import watch_query

#: Of a column with more distinct values in a row group no dictionary is tried to the end: numbers
#: would be collected in one and written plainly after all, which is a sixth of the writing.
MOST_IN_DICTIONARY = 10_000


def copy_to_parquet(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    out: Path,
    metadata: Mapping[str, str] | None = None,
    report: Callable[[float], None] | None = None,
    read: Iterable[Pinned] = (),
) -> None:
    """Write a query's rows to a file, which is of no use where that fails: see `sealing`.

    Args:
        metadata: keys and texts for the file's footer.
        report: told the share that is written, 0 to 1.
        read: the tables that the query reads, one of whose files may be damaged.
    """
    options = ["format parquet", f"dictionary_size_limit {MOST_IN_DICTIONARY}"]
    if metadata:
        pairs = ", ".join(f"{quoted(k)}: {literal(v)}" for k, v in metadata.items())
        options.append(f"kv_metadata {{{pairs}}}")
    try:
        described = connection.execute(f"describe {sql}").fetchall()
        kept = parquet_select({name: kind for name, kind, *_ in described})
        chosen = f"select {kept} from ({sql})"
        with watch_query(connection, report) if report else nullcontext():
            connection.execute(f"copy ({chosen}) to {literal(str(out))} ({', '.join(options)})")
    except duckdb.Error as error:
        lost = find_unreadable(connection, error, read)
        raise (
            lost
            or explain_text(str(error))
            or DataError(first_line(error), where=str(out), hint="fix the rows or the query")
        ) from None
