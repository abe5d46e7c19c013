"""Describe an Iceberg table from metadata alone: rows, bytes, files, snapshots and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from feature_specs.errors import DataError
from lakehouse.data_files.manifests import entries_with, manifests_of
from lakehouse.duckdb_types import duckdb_type
from lakehouse.lake import load_table


@dataclass(frozen=True)
class TableFacts:
    """Facts about a table's current state.

    Attributes:
        name: its dotted name.
        rows: how many it has; None where only reading its files would tell (equality deletes), or
            where a manifest is missing or damaged.
        bytes: of its data and delete files.
        files: how many data files it has.
        snapshots: how many it keeps.
        changed: when it was last written, UTC; None where it never was.
        columns: name to DuckDB type, or to Iceberg's where DuckDB has none.
        required: those of them that hold no null.
    """

    name: str
    rows: int | None
    bytes: int
    files: int
    snapshots: int
    changed: datetime | None
    columns: Mapping[str, str]
    required: tuple[str, ...] = ()


def describe_table(catalog: Catalog, identifier: str) -> TableFacts:
    """Describe a table by its name.

    Raises:
        UnknownNameError: there is none of that name.
        DataError: its metadata file is missing or damaged.
    """
    return facts_of(load_table(catalog, identifier), identifier)


def facts_of(table: Table, identifier: str) -> TableFacts:
    """Describe a loaded table."""
    current = table.current_snapshot()
    rows, size, files = _counts(table)
    fields = table.schema().fields
    return TableFacts(
        name=identifier,
        rows=rows,
        bytes=size,
        files=files,
        snapshots=len(table.snapshots()),
        changed=None
        if current is None
        else datetime.fromtimestamp(current.timestamp_ms / 1000, UTC),
        columns={field.name: _type_of(field) for field in fields},
        required=tuple(field.name for field in fields if field.required),
    )


def _counts(table: Table) -> tuple[int | None, int, int]:
    """Rows, bytes and data files: by the snapshot's summary, unless it lacks them or files of
    deletes stand beside them, which not every writer sums up; else counted from the manifests."""
    current = table.current_snapshot()
    if current is None:
        return 0, 0, 0
    summary = current.summary
    names = ("records", "files-size", "data-files")
    told = [None if summary is None else summary.get(f"total-{name}") for name in names]
    rows, size, files = (int(n or 0) for n in told)
    try:
        manifests = manifests_of(table, current.snapshot_id)
        if None in told or any(m.content == ManifestContent.DELETES for m in manifests):
            return _count_entries(table, current.snapshot_id)
    except DataError:
        return None, size, files
    return rows, size, files


def _count_entries(table: Table, snapshot: int) -> tuple[int | None, int, int]:
    data = [e.data_file for e in entries_with(table, snapshot, ManifestContent.DATA)]
    deletes = [e.data_file for e in entries_with(table, snapshot, ManifestContent.DELETES)]
    size = sum(file.file_size_in_bytes for file in (*data, *deletes))
    rows = sum(file.record_count for file in data)
    if any(file.equality_ids for file in deletes):
        return None, size, len(data)
    return rows - sum(file.record_count for file in deletes), size, len(data)


def _type_of(field: NestedField) -> str:
    try:
        return duckdb_type(field.field_type)
    except DataError:
        return str(field.field_type)
