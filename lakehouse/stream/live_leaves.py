"""The leaves of streamed views in memory: loaded once, then appended to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog as Lake
from pyiceberg.table import Table

from feature_specs.catalog import LeafEntry
from feature_specs.deltas import added_relation
from lakehouse.data_files.select_rows import select_rows
from lakehouse.lake import load_table
from lakehouse.scan import Pinned, added_files, pin, reading_of

_SCHEMA = "forebay_live"


#: A table, and the rows that it has gained, or a SELECT of them; None if there are none.
Came: TypeAlias = tuple[Table, pa.Table | str | None]


class RewrittenError(Exception):
    """A table's rows were removed or rewritten, or its columns changed: the copy in memory is stale."""


@dataclass
class _Held:
    """One Iceberg table in memory."""

    relation: str
    pinned: Pinned
    reading: str
    leaves: list[LeafEntry] = field(default_factory=list)

    @property
    def snapshot(self) -> int | None:
        return self.pinned.snapshot


class LiveLeaves:
    """The tables of some leaves, as relations of a connection named like the leaves.

    Each step the relations ``forebay_added_<leaf>`` hold what came with it.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, lake: Lake, leaves: Iterable[LeafEntry]
    ) -> None:
        self._connection, self._lake = connection, lake
        self._held: dict[str, _Held] = {}
        connection.execute(f"create schema if not exists memory.{_SCHEMA}")
        for leaf in leaves:
            if leaf.table not in self._held:
                self._held[leaf.table] = self._load(leaf.table, len(self._held))
            held = self._held[leaf.table]
            held.leaves.append(leaf)
            connection.execute(f"create schema if not exists {leaf.relation.rpartition('.')[0]}")
            connection.execute(
                f"create or replace view {leaf.relation} as select * from {held.relation}"
            )
        self._clear()

    @property
    def tables(self) -> list[str]:
        """Names of the Iceberg tables in memory."""
        return list(self._held)

    def snapshots(self, leaves: Iterable[str]) -> dict[str, int | None]:
        """D: the snapshot of each of these leaves."""
        return {name: pinned.snapshot for name, pinned in self.pinned(leaves).items()}

    def pinned(self, leaves: Iterable[str]) -> dict[str, Pinned]:
        """The tables of each of these leaves, as they are in memory."""
        by_name = {leaf.name: h.pinned for h in self._held.values() for leaf in h.leaves}
        return {name: by_name[name] for name in sorted(leaves)}

    def look_up(self, committed: Mapping[str, tuple[Table, pa.Table]]) -> dict[str, Came]:
        """What each table has gained; nothing is changed, also by a catalog that is away.

        Args:
            committed: tables to which this process has just committed, with the rows; the others
                are looked up.

        Raises:
            RewrittenError: something other than rows that were added.
        """
        found = {n: committed.get(n) or (load_table(self._lake, n), None) for n in self._held}
        return {n: (pair[0], self._what_came(self._held[n], *pair)) for n, pair in found.items()}

    def take(self, found: Mapping[str, Came]) -> set[str]:
        """Append what `look_up` gave; return the names of the leaves that gained rows.

        After an error some tables have their rows and others do not: load them anew.
        """
        self._clear()
        came: set[str] = set()
        for name, (table, rows) in found.items():
            held = self._held[name]
            if rows is None:
                continue
            if isinstance(rows, pa.Table):
                self._connection.register("forebay_came", rows)
                self._add(held, "select * from forebay_came")
                self._connection.unregister("forebay_came")
            else:
                self._add(held, rows)
            held.pinned = pin(table)
            came.update(leaf.name for leaf in held.leaves)
        return came

    def _what_came(self, held: _Held, table: Table, rows: pa.Table | None) -> pa.Table | str | None:
        """Rows that a table has gained, or a SELECT of them; None if it has not changed."""
        if reading_of(table) != held.reading:
            raise RewrittenError  # what is in memory has the columns of before
        head = table.current_snapshot()
        if head is None or head.snapshot_id == held.snapshot:
            if head is None and held.snapshot is not None:
                raise RewrittenError
            return None
        if rows is not None and head.parent_snapshot_id == held.snapshot:
            return rows
        files = added_files(table, held.snapshot, head.snapshot_id)
        if files is None:
            raise RewrittenError
        return select_rows(table, files)

    def _load(self, name: str, number: int) -> _Held:
        table = load_table(self._lake, name)
        pinned = pin(table)
        relation = f"memory.{_SCHEMA}.leaf_{number}"
        self._connection.execute(f"create or replace table {relation} as {pinned.sql}")
        return _Held(relation, pinned, reading_of(table))

    def _add(self, held: _Held, select: str) -> None:
        added = f"{held.relation}_added"
        self._connection.execute(f"insert into {added} by name {select}")
        self._connection.execute(f"insert into {held.relation} select * from {added}")

    def _clear(self) -> None:
        for held in self._held.values():
            added = f"{held.relation}_added"
            self._connection.execute(
                f"create or replace table {added} as select * from {held.relation} where false"
            )
            for leaf in held.leaves:
                self._connection.execute(
                    f"create or replace temp view {added_relation(leaf.name)} as "
                    f"select * from {added}"
                )
