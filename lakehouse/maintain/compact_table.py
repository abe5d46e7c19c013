"""Make large files of a leaf's many small ones, in ``replace`` snapshots, which change no rows."""

from __future__ import annotations

import duckdb
from pyiceberg.catalog import Catalog

from lakehouse.feature_tables.clean_files import can_clean, clean_files
from lakehouse.lake import load_table, read_state
from lakehouse.relations import tune
from lakehouse.scan import pin


def compact_table(lake: Catalog, identifier: str) -> int:
    """Rewrite what is small or mostly dead, a bounded piece a commit. Returns how many files were.

    Feature tables and their logs are left to their own steps: a step fails where another commit comes
    in between. So are tables in an object store, partitioned ones, and those with nested columns.
    """
    rewritten = 0
    with duckdb.connect() as connection:
        tune(connection)
        while True:
            table = load_table(lake, identifier)
            kept = table.properties.get("gc.enabled", "true").lower() == "false"
            if kept or read_state(table) is not None or not can_clean(pinned := pin(table)):
                return rewritten
            done = clean_files(connection, pinned, forget_old=False)
            if not done.data and not done.deletes:
                return rewritten
            rewritten += len(done.data) + len(done.deletes)
