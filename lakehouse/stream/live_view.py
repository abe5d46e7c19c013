"""One view's rows in memory, stepped by the same statements that step its table."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime

import duckdb

from feature_specs.catalog import ViewEntry
from feature_specs.deltas import added_relation
from feature_specs.quote import quoted
from lakehouse.data_files.find_unreadable import BROKEN_ROWS
from lakehouse.plans import ViewPlan, instants_of

#: The relation of what the last step changed: the rows with ``deleted`` beside them.
CHANGES = "forebay_live_changes"

#: Rows taken out of a table in memory leave holes, which are closed once there are more of them.
_HOLES = 200_000


@dataclass
class LiveView:
    """F(D, T) of a view over leaves in memory.

    Attributes:
        at: T of the rows; None before the first.
        rows: how many there are.
    """

    connection: duckdb.DuckDBPyConnection
    view: ViewEntry
    plan: ViewPlan
    at: datetime | None = None
    rows: int = 0
    _holes: int = 0

    @property
    def relation(self) -> str:
        """The table of its rows."""
        return f"memory.forebay_live.{quoted('view ' + self.view.name)}"

    def build(self, at: datetime) -> None:
        """Compute all rows anew."""
        self._run(
            f"create or replace table {self.relation} as {self._listed(self.plan.create)}", at
        )
        self.at, self._holes = at, 0
        self.rows = self._count(self.relation)

    def step(self, at: datetime, came: Set[str] = frozenset()) -> int:
        """Bring the rows to ``at`` over the current leaves; return how many changed.

        What changed stands in ``CHANGES``. T must not go back.

        Args:
            came: names of the leaves that have new rows.
        """
        if self.at is None:
            raise ValueError("a view steps from rows that build() made")
        touched = self._touch(at, came)
        if touched is None:
            fresh, before = self._listed(self.plan.create), f"select * from {self.relation}"
        else:
            fresh = self._listed(self.plan.step)
            before = f"select * from {self.relation} semi join forebay_touched using ({self._keys})"
        if touched == 0:
            self._run(
                f"create or replace temp table {CHANGES} as select *, false as deleted "
                f"from {self.relation} where false",
                at,
            )
            self.at = at
            return 0
        self._run(f"create or replace temp table forebay_fresh as {fresh}", at)
        self._run(f"create or replace temp table forebay_previous as {before}", at)
        self._run(
            f"create or replace temp table {CHANGES} as select *, false as deleted from ("
            "select * from forebay_fresh except select * from forebay_previous) as changed "
            f"union all by name select {self._keys}, true as deleted "
            f"from forebay_previous anti join forebay_fresh using ({self._keys})",
            at,
        )
        changed = self._count(CHANGES)
        if changed:
            self._apply(at)
        self.at = at
        return changed

    def _touch(self, at: datetime, came: Set[str]) -> int | None:
        """Fill ``forebay_touched``; return how many entities, or None if any may have changed."""
        new = [added_relation(name) for name in self.view.leaves if name in came]
        # New rows of a static leaf change any entity.
        if self.plan.touched is None or any(name not in self.plan.touched for name in new):
            return None
        try:
            self._run(f"create or replace temp table forebay_touched as {self.plan.touched}", at)
        except BROKEN_ROWS:
            return None  # among rows that the query itself leaves out
        return self._count("forebay_touched")

    def _apply(self, at: datetime) -> None:
        gone = self._run(
            f"delete from {self.relation} as held using {CHANGES} as changed where "
            + " and ".join(f"held.{quoted(k)} = changed.{quoted(k)}" for k in self.view.keys),
            at,
        ).fetchall()
        self._run(
            f"insert into {self.relation} by name select * exclude (deleted) from {CHANGES} "
            "where not deleted",
            at,
        )
        self._holes += int(gone[0][0])
        if self._holes > max(_HOLES, 2 * self.rows):
            copied = f'{self.relation[:-1]} copied"'
            self._run(f"create or replace table {copied} as select * from {self.relation}", at)
            self._run(f"drop table {self.relation}", at)
            named = self.relation.rpartition(".")[2]
            self._run(f"alter table {copied} rename to {named}", at)
            self._holes = 0
        self.rows = self._count(self.relation)

    @property
    def _keys(self) -> str:
        return ", ".join(map(quoted, self.view.keys))

    def _listed(self, select: str) -> str:
        """The columns that the online store keeps, with their declared types."""
        timed = [self.view.time_column] if self.view.time_column else []
        keys = {k: c.type for k, c in zip(self.view.keys, self.view.entities, strict=True)}
        typed = {**keys, **{c.name: c.type for c in self.view.stored}}
        columns = [
            *keys,
            *(t for t in timed if t not in typed),
            *(n for n in typed if n not in keys),
        ]
        listed = ", ".join(
            f"cast({quoted(n)} as {typed[n]}) as {quoted(n)}" if n in typed else quoted(n)
            for n in columns
        )
        whole = " and ".join(f"{quoted(k)} is not null" for k in keys)
        return f"select {listed} from ({select}) as forebay_rows where {whole}"

    def _count(self, relation: str) -> int:
        return int(self.connection.execute(f"select count(*) from {relation}").fetchall()[0][0])

    def _run(self, sql: str, at: datetime) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(sql, instants_of(sql, at, self.at) or None)
