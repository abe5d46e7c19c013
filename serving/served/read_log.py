"""Read the log of served vectors: the days that are asked for, chosen in DuckDB."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog as Lake
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from feature_specs.quote import literal
from lakehouse.data_files.select_rows import select_rows
from lakehouse.lake import find_table
from lakehouse.relations import tune
from lakehouse.scan import pin
from serving.served.commit_spool import SCHEMA, SERVED

#: Of one vector, and so what makes an order of the log total.
_ORDER = '"at", file, line'


def log_sql(
    lake: Lake, since: datetime, until: datetime, views: Iterable[str] | None = None
) -> str | None:
    """A SELECT of the log's rows between two instants, both included; None where there is no log.

    Only the files of these days are read.

    Args:
        views: names of views or roles; None for all.
    """
    table = find_table(lake, SERVED)
    if table is None:
        return None
    first, last = since.astimezone(UTC), until.astimezone(UTC)  # days of the log are UTC's
    pinned = pin(table)
    files = [
        entry
        for entry in pinned.files
        if (day := partition_day(table, entry)) is None or first.date() <= day <= last.date()
    ]
    if not files:
        return None
    held = {field.name for field in table.schema().fields}
    # A log that an earlier version began lacks what was added since, until it is written to.
    columns = ", ".join(
        f'"{name}"' if name in held else f'null::varchar as "{name}"' for name in SCHEMA.names
    )
    wanted = f'"at" between {literal(first.isoformat())} and {literal(last.isoformat())}'
    if views is not None:
        wanted += f" and view in ({', '.join(map(literal, views)) or 'null'})"
    rows = select_rows(table, files, pinned.deletes)
    return f"select {columns} from ({rows}) as logged where {wanted}"


def read_log(
    lake: Lake,
    since: datetime,
    until: datetime,
    *,
    most: int | None = None,
    views: Iterable[str] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """The log's rows by view or role, oldest first.

    Args:
        since, until: the first and the last instant of an answer.
        most: rows of a view, the latest ones; None for all.
        views: names; None for all.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    sql = log_sql(lake, since, until, views)
    if sql is None:
        return found
    if most is not None:
        latest = _ORDER.replace(",", " desc,") + " desc"
        sql += f" qualify row_number() over (partition by view order by {latest}) <= {int(most)}"
    with duckdb.connect() as connection:
        tune(connection)
        rows = connection.execute(f"select * from ({sql}) order by view, {_ORDER}")
        names = [column[0] for column in rows.description or []]
        while batch := rows.fetchmany(10_000):
            for values in batch:
                row = dict(zip(names, values, strict=True))
                found.setdefault(row["view"], []).append(row)
    return found


def partition_day(table: Table, entry: ManifestEntry) -> date | None:
    """The day of which a file of the log holds rows; None where that is not known."""
    file = entry.data_file
    spec = table.specs().get(file.spec_id)
    if spec is None or [field.name for field in spec.fields] != ["day"]:
        return None
    day = file.partition[0]
    if isinstance(day, int):
        return date.fromordinal(date(1970, 1, 1).toordinal() + day)
    return day if isinstance(day, date) else None
