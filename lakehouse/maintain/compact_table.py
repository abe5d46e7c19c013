"""Merge the small files of a source table into larger ones, in ``replace`` snapshots, which change no rows."""

from __future__ import annotations

import duckdb
from pyiceberg.catalog import Catalog

from lakehouse.feature_tables.clean_files import can_clean, clean_files
from lakehouse.lake import load_table, read_state
from lakehouse.maintain.compact_partitions import can_compact, compact_partitions
from lakehouse.relations import tune
from lakehouse.scan import Pinned, pin


def compact_table(lake: Catalog, identifier: str) -> int:
    """Rewrite files that are small or mostly deleted, a bounded number a commit; how many were rewritten.

    Feature tables and their logs are left to their own steps: a step fails where another commit comes
    in between. So are tables in an object store, and those with nested columns.
    """
    rewritten = 0
    with duckdb.connect() as connection:
        tune(connection)
        while True:
            table = load_table(lake, identifier)
            kept = table.properties.get("gc.enabled", "true").lower() == "false"
            if kept or read_state(table) is not None:
                return rewritten
            done = _compact(connection, pin(table))
            if not done:
                return rewritten
            rewritten += done


def _compact(connection: duckdb.DuckDBPyConnection, pinned: Pinned) -> int:
    """Rewrite a bounded number of files, in one commit; how many were rewritten."""
    if can_compact(pinned):
        return compact_partitions(connection, pinned)
    if not can_clean(pinned):
        return 0
    done = clean_files(connection, pinned, forget_old=False)
    return len(done.data) + len(done.deletes)
