"""Keep a feature table that is changed in place as small and as quick as one written anew.

Each step adds a file of rows and a file of position deletes, and its old rows stay where they were,
dead. After the step's own commit, one bounded piece of work pays for that, as log-structured file
systems clean their segments (Rosenblum and Ousterhout, 1992):

- a file of which more than a third is dead is written anew without its dead rows;
- of files of about one size, once there are eight, one is made (so each row is written again once
  for every factor of eight between a step and a whole file: Iceberg's own compaction in small);
- so are files of deletes, without what speaks of files that are gone.

A file has a million rows at most, so no such piece takes longer than these, whatever the table has.
The commit replaces files and changes no rows; where another writer was quicker, nothing is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile, ManifestEntry
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation

from lakehouse.count_rows import count_rows
from lakehouse.data_files.select_rows import select_rows
from lakehouse.duckdb_types import column_types
from lakehouse.feature_tables.change_rows import forget, write_deletes
from lakehouse.feature_tables.key_index import Positions, dead_rows, is_indexed
from lakehouse.lake import load_table
from lakehouse.layout import sort_terms
from lakehouse.local_path import is_local
from lakehouse.pyiceberg_internals import ChangeFiles, SteadyTransaction
from lakehouse.scan import Pinned, added_files, pin, reading_of
from lakehouse.stream.fence import FENCE, read_fence
from lakehouse.write_rows import FILE_ROWS, MOST_SNAPSHOTS, ROWS_PROPERTY, may_copy, write_file

#: The part of a file's rows that may be dead.
MOST_DEAD = 1 / 3
#: How often a commit is tried on top of others.
_TRIES = 20
#: Files of one size that are made one.
FAN = 8


@dataclass(frozen=True)
class Cleaning:
    """Files that are to be written anew: places among a table's data files, and its delete files."""

    data: tuple[int, ...] = ()
    deletes: tuple[int, ...] = ()


def can_clean(pinned: Pinned) -> bool:
    """Whether a table's files can be written anew: by DuckDB, on a local disk, unpartitioned."""
    table = pinned.table
    if not is_local(table.location()) or not may_copy(table, column_types(table.schema())):
        return False
    several = any(e.data_file.spec_id != table.spec().spec_id for e in pinned.files)
    return is_indexed(pinned) and not several


def clean_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """`clean_files` of a table as it stands, where that can be done."""
    pinned = pin(table)
    if can_clean(pinned):
        clean_files(connection, pinned)


def clean_files(
    connection: duckdb.DuckDBPyConnection, pinned: Pinned, *, forget_old: bool = True
) -> Cleaning:
    """Do the one piece of work that is due, if any. Returns what was rewritten.

    Args:
        forget_old: whether older snapshots are taken out where there are many.
    """
    few = not pinned.deletes and len(pinned.files) < FAN
    if few or not is_indexed(pinned):
        return Cleaning()
    dead = dead_rows(pinned.deletes)
    due = choose_files(pinned, dead)
    if not due.data and not due.deletes:
        return due
    return due if _rewrite(connection, pinned, due, dead, forget_old=forget_old) else Cleaning()


def in_order(table: Table, files: Sequence[ManifestEntry], deletes: Sequence[ManifestEntry]) -> str:
    """SQL of the living rows of some files, in the table's own order where it has one."""
    rows, terms = select_rows(table, files, deletes), sort_terms(table.metadata)
    return f"select * from ({rows}) as rows order by {', '.join(terms)}" if terms else rows


def choose_files(pinned: Pinned, dead: Sequence[Mapping[str, Positions]]) -> Cleaning:
    """What is due."""
    gone: dict[str, int] = defaultdict(int)
    for deletes in dead:
        for file, positions in deletes.items():
            gone[file] += len(positions)
    sizes = [int(e.data_file.record_count) for e in pinned.files]
    deaths = [gone[e.data_file.file_path] for e in pinned.files]
    empty = [i for i, size in enumerate(sizes) if deaths[i] >= size]
    worst = max(range(len(sizes)), key=lambda i: deaths[i] / max(sizes[i], 1), default=None)
    small = [i for i, s in enumerate(sizes) if s < FILE_ROWS // 2 and i not in empty]
    tier = full_tier({i: sizes[i] - deaths[i] for i in small})
    chosen = set(tier)
    if not tier and worst is not None and deaths[worst] > MOST_DEAD * sizes[worst]:
        chosen.add(worst)
    if chosen or len(empty) >= FAN:
        chosen.update(empty)
    held = {e.data_file.file_path for i, e in enumerate(pinned.files) if i not in chosen}
    told = {i: int(e.data_file.record_count) for i, e in enumerate(pinned.deletes)}
    living = {i: sum(len(p) for f, p in d.items() if f in held) for i, d in enumerate(dead)}
    idle = {i for i in told if living[i] * 2 < told[i]} if chosen else set()
    merged = set(full_tier(told)) | idle
    return Cleaning(tuple(sorted(chosen)), tuple(sorted(merged)))


def full_tier(sizes: Mapping[int, int]) -> list[int]:
    """Choose the smallest files of about one size, by place and row count; none unless there are `FAN`."""
    tiers: dict[int, list[int]] = defaultdict(list)
    for place, size in sizes.items():
        tiers[int(np.log(max(size, 1)) / np.log(FAN))].append(place)
    full = sorted(tier for tier, places in tiers.items() if len(places) >= FAN)
    return tiers[full[0]] if full else []


def _rewrite(
    connection: duckdb.DuckDBPyConnection,
    pinned: Pinned,
    due: Cleaning,
    dead: Sequence[Mapping[str, Positions]],
    *,
    forget_old: bool,
) -> bool:
    table = pinned.table
    taken = [pinned.files[i] for i in due.data]
    merged = [pinned.deletes[i] for i in due.deletes]
    kept = [e for i, e in enumerate(pinned.files) if i not in due.data]
    others = [e for i, e in enumerate(pinned.deletes) if i not in due.deletes]
    added: list[DataFile] = []
    if taken:
        written = write_file(connection, table, in_order(table, taken, pinned.deletes))
        added = [f for f in written if f.record_count or not kept]
        forget([f for f in written if f not in added])
    deletes = write_deletes(table, _merged([dead[i] for i in due.deletes], kept))
    return commit_cleaning(
        table, (kept, others), [*taken, *merged], added, deletes, forget_old=forget_old
    )


def commit_cleaning(
    table: Table,
    kept: tuple[Sequence[ManifestEntry], Sequence[ManifestEntry]],
    removed: Sequence[ManifestEntry],
    added: Sequence[DataFile],
    deletes: Sequence[DataFile] = (),
    *,
    forget_old: bool,
    spared: bool = False,
) -> bool:
    """Replace files by others with the same rows, in one commit.

    Where others only added rows in between, as a stream does every second, the commit goes on top.
    Returns whether it landed; else what was written is removed.

    Args:
        kept: the entries of all other files, of data and of deletes.
        spared: whether manifests that name none of the replaced files stay as they are.
    """
    for _ in range(_TRIES):
        transaction = SteadyTransaction(table)
        try:
            with ChangeFiles(Operation.REPLACE, transaction, table.io) as change:
                change.snapshot_properties = {ROWS_PROPERTY: str(count_rows(table))}
                fence = read_fence(table)
                if fence is not None:
                    change.snapshot_properties[FENCE] = fence.dumps()
                change.kept, change.removed, change.spared = kept, removed, spared
                change.added_deletes += deletes
                for file in added:
                    change.append_data_file(file)
            if forget_old:
                transaction.forget_snapshots(MOST_SNAPSHOTS)
            transaction.commit_transaction()
            return True
        except CommitFailedException:
            grown = _grown(table, removed)
            if grown is None:
                break
            table, kept = grown
    forget([*added, *deletes])
    return False


def _grown(
    table: Table, removed: Sequence[ManifestEntry]
) -> tuple[Table, tuple[list[ManifestEntry], list[ManifestEntry]]] | None:
    """A table as it is now, and its files but for ``removed``, if it has only gained rows since."""
    now = load_table(table.catalog, ".".join(table.name()))
    before, head = pin(table), pin(now)
    alike = reading_of(table) == reading_of(now) and table.spec() == now.spec()
    if not alike or added_files(now, before.snapshot, head.snapshot) is None:
        return None
    gone = {e.data_file.file_path for e in removed}
    if not gone <= {e.data_file.file_path for e in (*head.files, *head.deletes)}:
        return None  # somebody else has rewritten them
    data, deletes = (
        [e for e in entries if e.data_file.file_path not in gone]
        for entries in (head.files, head.deletes)
    )
    return now, (data, deletes)


def _merged(dead: Sequence[Mapping[str, Positions]], kept: Sequence[ManifestEntry]) -> pa.Table:
    """What files of deletes say of the data files that are kept, in order."""
    held = sorted({e.data_file.file_path for e in kept} & {f for d in dead for f in d})
    places = [np.unique(np.concatenate([d[f] for d in dead if f in d])) for f in held]
    counts = [len(p) for p in places]
    names = pa.array(held, pa.string()).take(pa.array(np.repeat(np.arange(len(held)), counts)))
    joined = np.concatenate(places) if places else np.array([], dtype=np.int64)
    return pa.table({"file_path": names, "pos": pa.array(joined, pa.int64())})
