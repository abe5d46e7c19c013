"""Keep statistics in two Iceberg tables, and read them back.

``forebay.feature_statistics`` gains rows with every build, and is partitioned by day.
``forebay.feature_baselines`` holds what these are compared with, and so the frozen bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import TableAlreadyExistsError

from feature_specs.quote import literal
from lakehouse.commit import TABLE_PROPERTIES, commit_rows, ensure_namespace
from lakehouse.lake import find_table
from lakehouse.statistics.feature_statistics import (
    SCHEMA,
    FeatureStatistics,
    Measured,
    from_row,
    to_rows,
)

STATISTICS = "forebay.feature_statistics"
BASELINES = "forebay.feature_baselines"


def keep_statistics(
    lake: Catalog,
    entries: Sequence[FeatureStatistics],
    baselines: Sequence[FeatureStatistics] = (),
) -> None:
    """Append statistics, and new baselines before them, in one commit a table.

    Raises:
        DataError: other writers committed first, again and again.
    """
    for identifier, found in ((BASELINES, baselines), (STATISTICS, entries)):
        if not found:
            continue
        create_by_day(lake, identifier, SCHEMA)
        commit_rows(lake, identifier, to_rows(list(found)), mode="append", columns="add")


def create_by_day(lake: Catalog, identifier: str, schema: pa.Schema) -> None:
    """Create a table that is partitioned by its column ``day``, unless it is there."""
    if find_table(lake, identifier) is not None:
        return
    ensure_namespace(lake, identifier)
    try:
        made = lake.create_table_transaction(identifier, schema=schema, properties=TABLE_PROPERTIES)
        with made as creation, creation.update_spec() as spec:
            spec.add_identity("day")
    except TableAlreadyExistsError:
        return  # by another process, in this very moment


def read_statistics(
    lake: Catalog,
    views: Iterable[str] | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    measured: Measured | None = None,
) -> list[FeatureStatistics]:
    """Statistics by ``as_of`` and then by when they were measured, oldest first.

    Args:
        views: names; None for all.
        since, until: the first and last ``as_of``, both included; only the days between are read.
        measured: what was measured; None for all.
    """
    conditions = [] if measured is None else [f"measured = '{measured}'"]
    if since is not None:
        conditions.append(f"day >= '{since.date()}' and as_of >= '{since.isoformat()}'")
    if until is not None:
        conditions.append(f"day <= '{until.date()}' and as_of <= '{until.isoformat()}'")
    return _read(lake, STATISTICS, views, conditions)


def read_baselines(
    lake: Catalog,
    views: Iterable[str] | None = None,
    measured: Measured | None = None,
    *,
    meanings: Iterable[str] | None = None,
    sources: Iterable[str] | None = None,
) -> list[FeatureStatistics]:
    """The baselines with their frozen bins, oldest first; a later one takes an earlier one's place.

    Args:
        views, measured: as of `read_statistics`.
        meanings: definition hashes, and sources: what was measured; None for all.
    """
    conditions = [] if measured is None else [f"measured = '{measured}'"]
    for column, given in (("meaning", meanings), ("source", sources)):
        if given is not None:
            names = ", ".join(map(literal, given))
            if not names:
                return []
            conditions.append(f"{column} in ({names})")
    return _read(lake, BASELINES, views, conditions)


def read_measured_sets(lake: Catalog) -> dict[str, int | None]:
    """Of each training set that is a baseline the snapshot that was measured last."""
    table = find_table(lake, BASELINES)
    if table is None:
        return {}
    columns = ("source", "snapshot", "as_of", "measured_at")
    scan = table.scan(row_filter="measured = 'training'", selected_fields=columns)
    rows = scan.to_arrow().to_pylist()
    rows.sort(key=lambda row: (row["as_of"], row["measured_at"]))
    return {row["source"]: row["snapshot"] for row in rows}


def _read(
    lake: Catalog,
    identifier: str,
    views: Iterable[str] | None,
    conditions: Sequence[str],
) -> list[FeatureStatistics]:
    table = find_table(lake, identifier)
    if table is None:
        return []
    wanted = [*conditions]
    if views is not None:
        names = ", ".join(map(literal, views))
        if not names:
            return []
        wanted.append(f"view in ({names})")
    scan = table.scan(row_filter=" and ".join(wanted) or "true")
    entries = [from_row(row) for row in scan.to_arrow().to_pylist()]
    return sorted(entries, key=lambda entry: (entry.as_of, entry.measured_at))
