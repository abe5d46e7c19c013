"""One round of upkeep of a table: expire its snapshots, then delete what nothing needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from lakehouse.drop_table import own_folders
from lakehouse.lake import find_table, load_table, table_names
from lakehouse.maintain.expire_snapshots import Pins, choose_expired, expire_snapshots
from lakehouse.maintain.free_files import Ages, Freed, find_free_files, free_files
from lakehouse.maintain.named_files import needed_files


@dataclass(frozen=True)
class Upkeep:
    """Result of one round.

    Attributes:
        expired, kept: snapshots.
        freed: files by kind.
        failed: names of files that could not be deleted.
        removed: rows that went by the table's retention.
        note: why nothing was done; empty where something was, or there was nothing to do.
    """

    table: str
    expired: int = 0
    kept: int = 0
    freed: tuple[Freed, ...] = ()
    failed: tuple[str, ...] = ()
    note: str = ""
    removed: int = 0

    @property
    def files(self) -> int:
        return sum(len(kind.files) for kind in self.freed)

    @property
    def bytes(self) -> int:
        return sum(kind.bytes for kind in self.freed)


def all_tables(lake: Catalog) -> dict[str, Table]:
    """The tables of a lake by name. Raises DataError where one cannot be read."""
    found = {name: find_table(lake, name) for name in table_names(lake)}
    return {name: table for name, table in found.items() if table is not None}


def foreign_files(tables: Mapping[str, Table]) -> frozenset[str]:
    """URIs of files that tables name outside of their own folders: they may lie in another's."""
    return frozenset(uri for table in tables.values() for uri in _elsewhere(table))


def _elsewhere(table: Table) -> Iterator[str]:
    own = tuple(f"{folder.rstrip('/')}/" for folder in own_folders(table))
    every = {s.snapshot_id for s in table.snapshots()}
    return (uri for uri in needed_files(table, every) if not uri.startswith(own))


def maintain_table(
    lake: Catalog,
    identifier: str,
    tables: Mapping[str, Table],
    foreign: frozenset[str],
    pins: Pins,
    ages: Ages,
    now: datetime,
    *,
    dry_run: bool = False,
) -> Upkeep:
    """Bring one table to the files that it needs.

    The expiry is committed before any file goes: a reader sees the table with all of its files, or an
    error of a snapshot that has expired. A run that is killed in between leaves files, which the next
    one deletes.

    Args:
        tables: all tables of the lake.
        foreign: see `foreign_files`.
        pins: snapshots that stay, of whichever table.

    Raises:
        UnknownNameError: there is no such table.
        DataError: its metadata cannot be read, or its folder holds other files than it names.
    """
    table = load_table(lake, identifier)
    if table.properties.get("gc.enabled", "true").lower() == "false":
        return Upkeep(identifier, kept=len(table.snapshots()), note="gc.enabled is false")
    others = [f for name, t in tables.items() if name != identifier for f in own_folders(t)]
    gone = choose_expired(table, pins, now, ages.snapshots)
    # Found before anything is committed: a table whose folder is not in order is left as it is.
    freed = find_free_files(table, gone, now, ages, foreign, others, ahead=bool(gone))
    failed: tuple[str, ...] = ()
    if not dry_run:
        chosen, gone = gone, expire_snapshots(table, pins, now, ages.snapshots)
        if _ids(gone) != _ids(chosen):
            # Another writer came between, and may need what was free before.
            table = load_table(lake, identifier)
            freed = find_free_files(table, gone, now, ages, foreign, others)
        failed = free_files(table, freed)
    went = _ids(gone)
    kept = sum(s.snapshot_id not in went for s in table.snapshots())
    return Upkeep(identifier, len(gone), kept, tuple(freed), failed)


def _ids(snapshots: Iterable[Snapshot]) -> set[int]:
    return {snapshot.snapshot_id for snapshot in snapshots}
