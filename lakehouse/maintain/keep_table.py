"""All upkeep of one table: old rows, small files, snapshots and what they leave behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.retention import Retention
from lakehouse.lake import load_table
from lakehouse.maintain.compact_table import compact_table
from lakehouse.maintain.expire_snapshots import Pins
from lakehouse.maintain.free_files import Ages
from lakehouse.maintain.maintain_table import Upkeep, foreign_files, maintain_table
from lakehouse.maintain.remove_old_rows import find_old_rows, remove_old_rows
from lakehouse.relations import tune


@dataclass(frozen=True)
class Rules:
    """By what tables are kept.

    Attributes:
        pins: snapshots that stay, of whichever table.
        ages: how long snapshots and files stay.
        retention: of tables by name, how long their rows stay.
        clock: the instant by which rows are old; files are old by the machine's own.
    """

    pins: Pins
    ages: Ages
    clock: datetime
    retention: Mapping[str, Retention]


def keep_table(
    lake: Catalog, name: str, tables: Mapping[str, Table], rules: Rules, *, dry_run: bool = False
) -> Upkeep:
    """Remove a table's old rows, compact its files, expire its snapshots, delete what nothing needs.

    Each part commits by itself, so that a run that is killed has done some of it, and the next one
    does the rest.

    Args:
        tables: all tables of the lake.
        dry_run: say what would go, and change nothing.

    Raises:
        UnknownNameError: there is no such table.
        DataError: its metadata or files cannot be read, or its folder holds other files than it names.
    """
    removed = _old_rows(lake, name, rules, dry_run)
    if not dry_run:
        compact_table(lake, name)
    foreign = foreign_files(tables)
    now = datetime.now(UTC)
    done = maintain_table(lake, name, tables, foreign, rules.pins, rules.ages, now, dry_run=dry_run)
    return replace(done, removed=removed)


def _old_rows(lake: Catalog, name: str, rules: Rules, dry_run: bool) -> int:
    retention = rules.retention.get(name)
    if retention is None:
        return 0
    if not dry_run:
        return remove_old_rows(lake, name, retention, rules.clock)
    with duckdb.connect() as connection:
        tune(connection)
        old = find_old_rows(connection, load_table(lake, name), retention, rules.clock)
    return 0 if old is None else old.rows
