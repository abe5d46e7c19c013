"""The events that a table already holds, by their identifying columns, so that none is added twice."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from pyiceberg.table import Table

from feature_specs.errors import SpecError, did_you_mean
from feature_specs.quote import quoted
from feature_specs.stream_options import StreamEntry
from feature_specs.time_zones import SESSION_AT_UTC
from lakehouse.data_files.select_rows import select_rows
from lakehouse.scan import added_files, pin


class SeenEvents:
    """The keys of all events in a table, in memory.

    Of several events with one key the first to be committed counts. A key that contains a null equals
    no other.

    Raises:
        SpecError: the table lacks one of the columns.
    """

    def __init__(self, entry: StreamEntry, table: Table) -> None:
        known = [field.name for field in table.schema().fields]
        for name in entry.dedupe_by:
            if name not in known:
                raise SpecError(
                    f"meta.stream.dedupe_by names column {name!r}, which table {entry.table} does "
                    "not have",
                    where=entry.where,
                    hint=did_you_mean(name, known),
                )
        self._keys = ", ".join(map(quoted, entry.dedupe_by))
        self._null = " or ".join(f"{quoted(n)} is null" for n in entry.dedupe_by)
        self._snapshot: int | None = None
        self._connection = duckdb.connect()
        self._connection.execute(SESSION_AT_UTC)
        self._load(table)

    def new_of(self, table: Table, rows: pa.Table) -> pa.Table:
        """The rows of a batch whose events are not in the table yet."""
        self._catch_up(table)
        numbered = rows.append_column("forebay_place", pa.array(range(rows.num_rows), pa.int64()))
        self._connection.register("batch", numbered)
        kept = self._connection.execute(
            f"select forebay_place from batch where {self._null} union all "
            f"select min(forebay_place) from batch anti join seen using ({self._keys}) "
            f"where not ({self._null}) group by {self._keys} order by 1"
        ).fetchall()
        self._connection.unregister("batch")
        return rows.take(pa.array([place for (place,) in kept], pa.int64()))

    def committed(self, table: Table, rows: pa.Table) -> None:
        """Rows that `new_of` gave are in the table now."""
        head = table.current_snapshot()
        if head is None or head.parent_snapshot_id != self._snapshot:
            return  # others came in between: they are read when next asked
        self._connection.register("batch", rows)
        self._add("select * from batch")
        self._connection.unregister("batch")
        self._snapshot = head.snapshot_id

    def _catch_up(self, table: Table) -> None:
        now = pin(table).snapshot
        if now == self._snapshot:
            return
        files = added_files(table, self._snapshot, now)
        if files is None:
            self._load(table)
            return
        self._add(select_rows(table, files))
        self._snapshot = now

    def _load(self, table: Table) -> None:
        pinned = pin(table)
        self._connection.execute(
            f"create or replace table seen as select {self._keys} from ({pinned.sql}) "
            f"where not ({self._null})"
        )
        self._snapshot = pinned.snapshot

    def _add(self, select: str) -> None:
        self._connection.execute(
            f"insert into seen select {self._keys} from ({select}) where not ({self._null})"
        )
