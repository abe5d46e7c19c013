"""Bring a feature table from (D0, T0) to (D1, T1): by a step where that is sound, else in full.

Two Iceberg tables a view: the latest row of each entity, and an append-only log of what changed.
The log commits first, with the new state in its properties; a crash between the two commits leaves
the log ahead, and the next run folds the log to find where the latest table ought to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.catalog import ViewEntry
from feature_specs.errors import DataError
from feature_specs.leaf import leaf_key
from lakehouse.commit import commit_rows
from lakehouse.lake import STATE_PROPERTY, FeatureState, find_table, read_state
from lakehouse.plans import ViewPlan, instants_of
from lakehouse.scan import Pinned, added_files, define_view, files_sql, pin

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Advance:
    """What one materialization did.

    Attributes:
        how: ``full``, ``step`` or ``nothing``.
        why: for a full one, what ruled the step out.
        touched: entities recomputed.
        upserts, deletes: rows of the feature table that changed.
    """

    view: str
    how: str
    why: str
    touched: int
    upserts: int
    deletes: int
    rows: int


def advance_view(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    view: ViewEntry,
    plan: ViewPlan,
    leaves: Mapping[str, Pinned],
    at: datetime,
    *,
    full_refresh: bool = False,
) -> Advance:
    """Materialize a view at ``at`` over the pinned leaves, whose relations the connection has.

    Raises:
        DataError: the data breaks what the view declares, such as one row an entity.
    """
    session = _Session(connection, catalog, view, plan, leaves, at)
    how, why = session.decide(full_refresh)
    if how == "nothing":
        return Advance(view.name, how, why, 0, 0, 0, session.count_latest())
    try:
        touched = session.compute(how)
        upserts, deletes = session.compare(how)
    except (
        duckdb.InvalidInputException,
        duckdb.ConversionException,
        duckdb.OutOfRangeException,
    ) as error:
        raise DataError(
            str(error).removeprefix("Invalid Input Error: "),
            where=view.file,
            mend="mend the query, or the rows that break it",
        ) from None
    rows = session.commit(upserts + deletes > 0)
    return Advance(view.name, how, why, touched, upserts, deletes, rows)


class _Session:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        catalog: Catalog,
        view: ViewEntry,
        plan: ViewPlan,
        leaves: Mapping[str, Pinned],
        at: datetime,
    ) -> None:
        self.connection, self.catalog, self.view, self.plan = connection, catalog, view, plan
        self.leaves, self.at = leaves, at
        self.latest = find_table(catalog, view.table)
        self.history = find_table(catalog, view.history_table)
        self.before = read_state(self.history)
        self.state = FeatureState(
            at=(at - EPOCH) // timedelta(microseconds=1),
            semantic_hash=view.semantic_hash,
            snapshots={name: leaves[name].snapshot for name in sorted(view.leaves)},
        )
        self.keys = ", ".join(_quoted(c.name) for c in view.entities)
        timed = [view.event_time] if view.event_time else []
        self.columns = [*(c.name for c in view.entities), *timed, *(c.name for c in view.stored)]
        self.listed = ", ".join(map(_quoted, self.columns))

    def decide(self, full_refresh: bool) -> tuple[str, str]:
        """How to get there, and why not more cheaply."""
        before = self.before
        if full_refresh:
            return "full", "it was asked for"
        if before is None:
            return "full", "there is no table yet"
        if before.semantic_hash != self.view.semantic_hash:
            return "full", "the view means something else now"
        if before == self.state and read_state(self.latest) == self.state:
            return "nothing", "it stands there already"
        if before.at > self.state.at:
            return "full", "the clock stands before the last build's"
        if self.plan.touched is None:
            return "full", "any entity may change at any time in this query"
        for name in self.view.leaves:
            if self._added(name) is None:
                return "full", f"rows of {name} were removed or rewritten"
            if self._added(name) and f"forebay_added_{leaf_key(name)}" not in self.plan.touched:
                return "full", f"{name} is declared static and has new rows"
        return "step", ""

    def _added(self, leaf: str) -> tuple[str, ...] | None:
        assert self.before is not None
        pinned = self.leaves[leaf]
        if pinned.delete_files:
            return None
        return added_files(pinned.table, self.before.snapshots.get(leaf), pinned.snapshot)

    def compute(self, how: str) -> int:
        """Fill ``forebay_fresh``, and ``forebay_touched`` for a step. Returns entities computed."""
        if how == "step":
            assert self.plan.touched is not None and self.before is not None
            for name in self.view.leaves:
                select = files_sql(self.leaves[name].table.schema(), self._added(name) or ())
                self._run(f"create or replace temp view forebay_added_{leaf_key(name)} as {select}")
            before = EPOCH + timedelta(microseconds=self.before.at)
            self._run(
                f"create or replace temp table forebay_touched as {self.plan.touched}",
                before=before,
            )
        query = self.plan.step if how == "step" else self.plan.create
        self._run(f"create or replace temp table forebay_fresh as {query}")
        self._fit_types()
        name = "forebay_touched" if how == "step" else "forebay_fresh"
        return self._count(f"from {name}")

    def _fit_types(self) -> None:
        """Iceberg's integers end at 64 bits: a wider sum is kept as a decimal of 38 digits."""
        types = self._run("describe forebay_fresh").fetchall()
        casts = [
            f"cast({_quoted(name)} as decimal(38, 0)) as {_quoted(name)}"
            for name, kind, *_ in types
            if kind in ("HUGEINT", "UHUGEINT", "UBIGINT")
        ]
        if casts:
            self._run(
                "create or replace temp table forebay_fresh as "
                f"select * replace ({', '.join(casts)}) from forebay_fresh"
            )

    def compare(self, how: str) -> tuple[int, int]:
        """Fill ``forebay_changes`` with what differs from before. Returns upserts and deletes."""
        self._define_previous()
        known = self._run("describe forebay_previous").fetchall()
        fresh = self._run("describe forebay_fresh").fetchall()
        only = f"where ({self.keys}) in (select ({self.keys}) from forebay_touched)"
        scope = only if how == "step" else ""
        if [c[:2] for c in known] != [c[:2] for c in fresh]:
            # Other columns or types: every row is new.
            self._run(
                "create or replace temp table forebay_changes as "
                f"select {self.listed}, false as deleted from forebay_fresh"
            )
            self._run(
                f"insert into forebay_changes by name (select {self.keys}, true as deleted "
                f"from forebay_previous anti join forebay_fresh using ({self.keys}))"
            )
        else:
            self._run(
                "create or replace temp table forebay_changes as "
                f"select {self.listed}, false as deleted from "
                f"(select {self.listed} from forebay_fresh "
                f"except select {self.listed} from forebay_previous) "
            )
            self._run(
                f"insert into forebay_changes by name (select {self.keys}, true as deleted "
                f"from (select {self.keys} from forebay_previous {scope}) as gone "
                f"anti join forebay_fresh using ({self.keys}))"
            )
        counts = self._run(
            "select count(*) filter (where not deleted), count(*) filter (where deleted) "
            "from forebay_changes"
        ).fetchone()
        assert counts is not None
        return int(counts[0]), int(counts[1])

    def _define_previous(self) -> None:
        if self.before is None or self.history is None:
            self._run(
                "create or replace temp view forebay_previous as "
                "select * from forebay_fresh where false"
            )
            return
        if self.latest is not None and read_state(self.latest) == self.before:
            define_view(self.connection, "forebay_latest", pin(self.latest), temporary=True)
            columns = self.listed if self._same_columns(self.latest) else "*"
            self._run(
                f"create or replace temp table forebay_previous as "
                f"select {columns} from forebay_latest"
            )
            return
        define_view(self.connection, "forebay_log", pin(self.history), temporary=True)
        self._run(
            "create or replace temp table forebay_previous as select * exclude "
            "(computed_at, committed_at, deleted) from (select * from forebay_log "
            f"qualify row_number() over (partition by {self.keys} order by committed_at desc) = 1) "
            "where not deleted"
        )

    def _same_columns(self, table: Table) -> bool:
        return set(self.columns) <= {f.name for f in table.schema().fields}

    def commit(self, changed: bool) -> int:
        """Append to the log, then replace the latest rows. Returns the rows of the table."""
        self._run(
            "create or replace temp table forebay_next as "
            f"select {self.listed} from forebay_changes where not deleted "
            "union all by name "
            f"select {self._kept()} from forebay_previous "
            f"anti join forebay_changes using ({self.keys})"
        )
        log = self._arrow(
            "select *, $as_of as computed_at, cast(get_current_timestamp() as timestamptz) "
            "as committed_at from forebay_changes"
        )
        rows = self._arrow(f"select {self.listed} from forebay_next order by {self.keys}")
        state = {STATE_PROPERTY: self.state.dumps()}
        if changed or self.history is None:
            commit_rows(
                self.catalog,
                self.view.history_table,
                log,
                mode="append",
                columns="add",
                properties=state,
            )
        else:
            with self.history.transaction() as change:
                change.set_properties(state)
        commit_rows(
            self.catalog,
            self.view.table,
            rows,
            mode="replace",
            columns="exact",
            properties=state,
        )
        return int(rows.num_rows)

    def _kept(self) -> str:
        known = {row[0] for row in self._run("describe forebay_previous").fetchall()}
        return ", ".join(_quoted(c) for c in self.columns if c in known) or "*"

    def count_latest(self) -> int:
        current = self.latest.current_snapshot() if self.latest is not None else None
        if current is None or current.summary is None:
            return 0
        return int(current.summary.additional_properties.get("total-records", 0))

    def _arrow(self, sql: str) -> pa.Table:
        return self.connection.sql(sql, params=instants_of(sql, self.at) or None).to_arrow_table()

    def _count(self, tail: str) -> int:
        row = self._run(f"select count(*) {tail}").fetchone()
        assert row is not None
        return int(row[0])

    def _run(self, sql: str, before: datetime | None = None) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(sql, instants_of(sql, self.at, before) or None)


def _quoted(name: str) -> str:
    return '"' + name + '"'
