"""Merge the small files of a partitioned table into larger ones, each partition by itself.

Rows stay in their partition, so that readers find them by the same bounds as before.
"""

from __future__ import annotations

from collections import defaultdict

import duckdb
from pyiceberg.manifest import DataFile, ManifestEntry

from lakehouse.duckdb_types import column_types
from lakehouse.feature_tables.clean_files import commit_cleaning, full_tier, in_order
from lakehouse.feature_tables.key_index import is_indexed
from lakehouse.local_path import is_local
from lakehouse.scan import Pinned
from lakehouse.write_rows import FILE_ROWS, may_copy_columns, write_file

#: About how many rows one commit rewrites.
_ROWS_AT_ONCE = 4 * FILE_ROWS


def can_compact(pinned: Pinned) -> bool:
    """Whether DuckDB may write files of the table: on a local disk, partitioned, of plain columns."""
    table = pinned.table
    if table.spec().is_unpartitioned() or not is_local(table.location()):
        return False
    return may_copy_columns(table, column_types(table.schema())) and is_indexed(pinned)


def compact_partitions(connection: duckdb.DuckDBPyConnection, pinned: Pinned) -> int:
    """Merge a bounded number of small files, in one ``replace`` snapshot.

    Returns how many files were replaced: 0 where there is nothing to do, or another writer committed
    first.
    """
    table = pinned.table
    groups: dict[str, list[ManifestEntry]] = defaultdict(list)
    for entry in pinned.files:
        groups[repr(entry.data_file.partition)].append(entry)
    taken: list[ManifestEntry] = []
    added: list[DataFile] = []
    rows = 0
    for entries in groups.values():
        sizes = {i: int(e.data_file.record_count) for i, e in enumerate(entries)}
        small = {i: size for i, size in sizes.items() if size < FILE_ROWS // 2}
        due = [entries[i] for i in full_tier(small)]
        if not due or rows > _ROWS_AT_ONCE:
            continue
        partition = due[0].data_file.partition
        written = write_file(
            connection, table, in_order(table, due, pinned.deletes), partition=partition
        )
        added += [f for f in written if f.record_count]
        taken += due
        rows += sum(int(e.data_file.record_count) for e in due)
    if not taken:
        return 0
    gone = {e.data_file.file_path for e in taken}
    kept = [e for e in pinned.files if e.data_file.file_path not in gone]
    done = commit_cleaning(
        table, (kept, pinned.deletes), taken, added, forget_old=False, spared=True
    )
    return len(taken) if done else 0
