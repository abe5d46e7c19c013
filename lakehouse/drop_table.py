"""Drop an Iceberg table with all of its files."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.catalog import Catalog

from lakehouse.lake import load_table


@dataclass(frozen=True)
class TableSize:
    """What a table holds: rows and data files as it stands now, and its snapshots."""

    rows: int
    files: int
    snapshots: int


def measure_table(catalog: Catalog, identifier: str) -> TableSize:
    """How much there is of a table.

    Raises:
        UnknownNameError: there is none of that name.
    """
    table = load_table(catalog, identifier)
    current = table.current_snapshot()
    summary = {} if current is None or current.summary is None else current.summary
    rows, files = (int(summary.get(f"total-{what}") or 0) for what in ("records", "data-files"))
    return TableSize(rows, files, len(table.snapshots()))


def drop_table(catalog: Catalog, identifier: str) -> None:
    """Take a table out of the catalog, then remove the files that its snapshots name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    load_table(catalog, identifier)
    catalog.purge_table(identifier)
