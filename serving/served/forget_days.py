"""Keep the log of served vectors as long as its owner says: older days are removed whole."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pyiceberg.catalog import Catalog as Lake
from pyiceberg.exceptions import CommitFailedException

from feature_specs.errors import DataError
from lakehouse.lake import find_table
from lakehouse.scan import pin
from serving.served.commit_spool import SERVED
from serving.served.read_log import partition_day

_TRIES = 5


def forget_days(
    lake: Lake, now: datetime, retention: timedelta, *, dry_run: bool = False
) -> tuple[int, date]:
    """Remove the days that ended before ``now - retention``; how many rows those are, and the first
    day that is kept.

    A day's files are dropped, and none is read or written anew. `forebay maintain` deletes them once
    their snapshots expire.

    Raises:
        DataError: other writers committed first, again and again.
    """
    first = (now.astimezone(UTC) - retention).date()
    for _ in range(_TRIES):
        table = find_table(lake, SERVED)
        if table is None:
            return 0, first
        days = [(partition_day(table, entry), entry) for entry in pin(table).files]
        rows = sum(e.data_file.record_count for day, e in days if day is not None and day < first)
        if not rows or dry_run:
            return rows, first
        try:
            table.delete(f"day < '{first}'")
        except CommitFailedException:
            continue
        return rows, first
    raise DataError(
        "other writers committed first, again and again", where=SERVED, hint="run it again"
    )
