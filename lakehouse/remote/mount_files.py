"""Let DuckDB read the files of tables that lie elsewhere."""

from __future__ import annotations

import contextlib

import duckdb

from lakehouse.remote.remote_files import any_remote


def mount(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection's database read remote files, if there may be any; as often as one likes."""
    if not any_remote():
        return
    from lakehouse.remote.duckdb_files import (  # fsspec takes a while to be imported
        NAME,
        DuckDbFiles,
    )

    if connection.filesystem_is_registered(NAME):
        return
    with contextlib.suppress(duckdb.InvalidInputException):  # another thread was faster
        connection.register_filesystem(DuckDbFiles())
