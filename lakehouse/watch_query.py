"""Report the progress of a long DuckDB statement while it runs."""

from __future__ import annotations

from contextlib import AbstractContextManager

import duckdb

from feature_specs.progress import Share
from lakehouse.watch_share import watch_share


def watch_query(
    connection: duckdb.DuckDBPyConnection, report: Share
) -> AbstractContextManager[None]:
    """Report the share, 0 to 1, that is done of the statement that the block executes.

    DuckDB guesses it; once the block ends without an error it is 1.
    """
    connection.execute("set enable_progress_bar = true")
    connection.execute("set enable_progress_bar_print = false")
    return watch_share(lambda: connection.query_progress() / 100, report)
