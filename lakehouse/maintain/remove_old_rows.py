"""Retention: remove the rows of a table that are older than it keeps them.

Whole files go by their bounds alone; of a file that holds younger rows too these are written anew.
So that a table whose files each span its whole past is not written anew every day, rows go in steps
of a hundredth of the time for which they are kept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table
from pyiceberg.types import TimestamptzType

from feature_specs.errors import DataError
from feature_specs.instants import DAY_US, epoch_us
from feature_specs.retention import Retention
from lakehouse.data_files.select_rows import select_rows
from lakehouse.erase.rewrite_files import Found, remove_rows
from lakehouse.feature_tables.slices import Span, time_field
from lakehouse.lake import load_table
from lakehouse.relations import tune
from lakehouse.retained import REMOVED, RETAINED_PROPERTY, removals
from lakehouse.scan import Pinned, pin
from lakehouse.write_rows import OvertakenTableError

#: A time without a zone, and a date, may stand for an instant that lies so far off.
_UNSURE = 2 * DAY_US


@dataclass(frozen=True)
class OldRows:
    """The rows of a table that retention removes.

    Attributes:
        before: the instant before which they lie, in microseconds.
        found: the files that hold them.
        predicate: SQL that holds for them.
    """

    before: int
    found: Found
    predicate: str

    @property
    def rows(self) -> int:
        return self.found.living

    @property
    def bytes(self) -> int:
        """Of the files that go or are written anew."""
        return sum(int(e.data_file.file_size_in_bytes) for e in self.found.files)


def cutoff(retention: Retention, now: datetime) -> int:
    """The instant before which rows may go, in microseconds."""
    step = max(DAY_US, retention.keep_us // 100 // DAY_US * DAY_US)
    return (epoch_us(now) - retention.keep_us) // step * step


def find_old_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, retention: Retention, now: datetime
) -> OldRows | None:
    """The rows that may go; None where there are none.

    Raises:
        DataError: a column of the retention is not there or holds no times, or a file cannot be read.
    """
    pinned, before = pin(table), cutoff(retention, now)
    spans = [_span(table, column, before) for column in retention.columns]
    tests = [f"coalesce({span.where()}, false)" for span in spans]
    predicate = f"({' and '.join(tests)})"
    held = [e for e in pinned.files if all(s.may_hold(e.data_file) for s in spans)]
    files, among, living = [], 0, 0
    for entry in held:
        size = int(entry.data_file.record_count)
        whole = all(_is_within(span, entry) for span in spans)
        old = size if whole else _count(connection, pinned, entry, predicate, deleted=True)
        if old:
            files.append(entry)
            among += old
            living += _count(connection, pinned, entry, predicate) if pinned.deletes else old
    return OldRows(before, Found(tuple(files), among, living), predicate) if files else None


def remove_old_rows(
    lake: Catalog, identifier: str, retention: Retention, now: datetime, tries: int = 5
) -> int:
    """Commit a table without them. Returns how many rows went.

    Where other writers are quicker each time none go: the next run finds them again.

    Raises:
        DataError: as `find_old_rows`.
    """
    for _ in range(tries):
        with contextlib.suppress(OvertakenTableError):
            return _remove(lake, identifier, retention, now)
    return 0


def _remove(lake: Catalog, identifier: str, retention: Retention, now: datetime) -> int:
    table = load_table(lake, identifier)
    if table.properties.get("gc.enabled", "true").lower() == "false":
        return 0
    with duckdb.connect() as connection:
        tune(connection)
        old = find_old_rows(connection, table, retention, now)
        if old is None:
            return 0
        number = table.last_sequence_number + 1
        told = json.dumps([*_still_told(table), (number, old.before)])
        remove_rows(
            connection,
            table,
            old.found,
            old.predicate,
            summary={REMOVED: str(old.before)},
            properties={RETAINED_PROPERTY: told},
            spared=True,
        )
    return old.rows


def _still_told(table: Table) -> Sequence[tuple[int, int]]:
    """The removals that tell one kept snapshot from another."""
    first = min((s.sequence_number or 0 for s in table.snapshots()), default=0)
    known = removals(table)
    older = [r for r in known if r[0] <= first]
    # A later run may have gone by an earlier clock, or by a longer retention.
    furthest = sorted(older, key=lambda r: r[1])[-1:]
    return [*furthest, *(r for r in known if r[0] > first)]


def _span(table: Table, column: str, before: int) -> Span:
    try:
        field = time_field(table.schema(), column)
    except ValueError:
        field = None
    if field is None:
        raise DataError(
            f"retention goes by its column {column!r}, which is not there or is no time",
            where=f"table {'.'.join(table.name())}",
            hint="name a column of times in the source's YAML",
        )
    slack = 0 if isinstance(field.field_type, TimestamptzType) else _UNSURE
    return Span(field, high=before - slack - 1)


def _is_within(span: Span, entry: ManifestEntry) -> bool:
    """Whether a file says that all of its rows are that old, and none without a time."""
    assert span.field is not None
    nulls = (entry.data_file.null_value_counts or {}).get(span.field.field_id)
    return nulls == 0 and span.holds_all(entry.data_file)


def _count(
    connection: duckdb.DuckDBPyConnection,
    pinned: Pinned,
    entry: ManifestEntry,
    predicate: str,
    *,
    deleted: bool = False,
) -> int:
    rows = select_rows(pinned.table, [entry], () if deleted else pinned.deletes)
    found = connection.execute(f"select count(*) from ({rows}) where {predicate}").fetchall()
    return int(found[0][0])
