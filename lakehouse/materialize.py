"""Bring a feature table from (D0, T0) to (D1, T1): by a step where that is sound, else in full.

Two Iceberg tables a view: the latest row of each entity, and an append-only log of what changed.
The log commits first, with the new state in its properties; a crash between the two commits leaves
the log ahead, and the next run folds the log to find where the latest table ought to be.

Where the view's aggregates are exact, the latest table also holds the running sums that they are
made of (columns ``fb_...``), and a step adds to them what the rows that came and went amount to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from feature_specs.catalog import LeafEntry, ViewEntry
from feature_specs.deltas import added_relation
from feature_specs.errors import DataError
from lakehouse.choose_step import Choice, choose_step, stands_at
from lakehouse.commit import Columns, Mode
from lakehouse.lake import DEFINITION_PROPERTY, STATE_PROPERTY, FeatureState, find_table, read_state
from lakehouse.notice_rows import look_at_leaves, why_no_rows
from lakehouse.plans import ViewPlan, instants_of
from lakehouse.quote import quoted
from lakehouse.scan import Pinned, pin, reading_of
from lakehouse.select_rows import select_rows
from lakehouse.sum_up import add_deltas, read_deltas, sum_up
from lakehouse.write_rows import count_rows, set_properties, write_query

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Of the latest rows, which every step writes anew: what is quickly packed matters more than size.
_LATEST_PROPERTIES = {"write.parquet.compression-codec": "snappy"}


@dataclass(frozen=True)
class Advance:
    """What one materialization did.

    Attributes:
        how: ``full``, ``step`` or ``nothing``.
        why: for a full one what ruled the step out, for a step by which of the two ways.
        touched: entities recomputed, or to whose sums something was added.
        upserts, deletes: rows of the feature table that changed.
        warnings: what is commonly a mistake in the rows that were read.
        notes: what of them was left out.
    """

    view: str
    how: str
    why: str
    touched: int
    upserts: int
    deletes: int
    rows: int
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def advance_view(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    view: ViewEntry,
    plan: ViewPlan,
    leaves: Mapping[str, Pinned],
    at: datetime,
    *,
    full_refresh: bool = False,
    roles: Mapping[str, LeafEntry] | None = None,
    clock: str = "the caller",
) -> Advance:
    """Materialize a view at ``at`` over the pinned leaves, whose relations the connection has.

    Args:
        roles: what is known of the leaves, so that their mistakes can be told.
        clock: where ``at`` came from, for people.

    Raises:
        DataError: the data breaks what the view declares, such as one row an entity.
    """
    session = _Session(connection, catalog, view, plan, leaves, at)
    choice = session.decide(full_refresh)
    how, why = choice.how, choice.why
    if how == "nothing":
        session.note_definition()
        rows = session.count_latest()
        done = Advance(view.name, how, why, 0, 0, 0, rows)
        return done if rows else session.look(done, roles or {}, clock)
    try:
        touched = session.compute(how)
        upserts, deletes = session.compare()
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
    rows = session.commit(how, touched, upserts + deletes > 0)
    done = Advance(view.name, how, why, touched, upserts, deletes, rows)
    return session.look(done, roles or {}, clock)


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
            readings={name: reading_of(leaves[name].table) for name in sorted(view.leaves)},
        )
        self.properties = {STATE_PROPERTY: self.state.dumps()}
        self.defined = {DEFINITION_PROPERTY: plan.definition} if plan.definition else {}
        self.keys = ", ".join(map(quoted, view.keys))
        timed = [view.time_column] if view.time_column else []
        self.columns = [*view.keys, *timed, *(c.name for c in view.stored)]
        self.listed = ", ".join(map(quoted, self.columns))
        self.sums = plan.deltas.columns if plan.deltas is not None else ()
        self.held = ", ".join([self.listed, *self.sums])
        self.types: dict[str, str] = {}
        self.added: Mapping[str, tuple[ManifestEntry, ...]] = {}

    def decide(self, full_refresh: bool) -> Choice:
        """How to get there, and why not more cheaply."""
        if full_refresh:
            return Choice("full", "it was asked for")
        choice = choose_step(
            self.view, self.plan, self.leaves, self.latest, self.before, self.state
        )
        self.added = choice.added
        return choice

    def note_definition(self) -> None:
        """Keep what the view is made of, where only that has changed: how it is read, or by whom."""
        if self.history is None or not self.defined:
            return
        if self.history.properties.get(DEFINITION_PROPERTY) != self.plan.definition:
            set_properties(self.history, self.defined)

    def compute(self, how: str) -> int:
        """Fill ``forebay_fresh``, and ``forebay_touched`` for a step. Returns entities computed."""
        if how == "full":
            self._compute_all()
        else:
            self._compute_touched()
        self._fit_types()
        return self._count("forebay_touched" if how == "step" else "forebay_fresh")

    def _compute_all(self) -> None:
        deltas = self.plan.deltas
        if deltas is None:
            self._run(f"create or replace temp table forebay_fresh as {self.plan.create}")
        else:
            sum_up(self._run, deltas, self.leaves[deltas.leaf], self.state.at)
        self._run(f"create or replace temp table forebay_previous as {self._rows_before()}")

    def _compute_touched(self) -> None:
        deltas = self.plan.deltas
        if deltas is not None:
            assert self.before is not None
            leaf, added = self.leaves[deltas.leaf], self.added[deltas.leaf]
            read_deltas(self._run, deltas, leaf, self.before, self.state.at, added)
        else:
            for name in self.view.leaves:
                select = select_rows(self.leaves[name].table, self.added[name])
                self._run(f"create or replace temp view {added_relation(name)} as {select}")
            self._run(f"create or replace temp table forebay_touched as {self.plan.touched}")
        self._run(f"create or replace temp table forebay_before as {self._rows_before()}")
        self._run(
            "create or replace temp table forebay_previous as "
            f"select * from forebay_before semi join forebay_touched using ({self.keys})"
        )
        if deltas is not None:
            add_deltas(self._run, deltas, [quoted(key) for key in self.view.keys])
        else:
            self._run(f"create or replace temp table forebay_fresh as {self.plan.step}")

    def _fit_types(self) -> None:
        """Iceberg's integers end at 64 bits: a wider sum is kept as a decimal of 38 digits."""
        self.types = self._types("forebay_fresh")
        wide = [n for n, kind in self.types.items() if kind in ("HUGEINT", "UHUGEINT", "UBIGINT")]
        if wide:
            casts = ", ".join(f"cast({quoted(n)} as decimal(38, 0)) as {quoted(n)}" for n in wide)
            self._run(
                "create or replace temp table forebay_fresh as "
                f"select * replace ({casts}) from forebay_fresh"
            )
            self.types |= dict.fromkeys(wide, "DECIMAL(38,0)")

    def compare(self) -> tuple[int, int]:
        """Fill ``forebay_changes`` with what differs from before. Returns upserts and deletes."""
        known = self._types("forebay_previous")
        # Of other columns or types every row is new.
        alike = all(known.get(n) == self.types[n] for n in self.columns)
        unchanged = f"except select {self.listed} from forebay_previous" if alike else ""
        self._run(
            "create or replace temp table forebay_changes as select *, false as deleted "
            f"from (select {self.listed} from forebay_fresh {unchanged}) as changed "
            f"union all by name select {self.keys}, true as deleted "
            f"from forebay_previous anti join forebay_fresh using ({self.keys})"
        )
        ((upserts, deletes),) = self._run(
            "select count(*) filter (where not deleted), count(*) filter (where deleted) "
            "from forebay_changes"
        ).fetchall()
        return int(upserts), int(deletes)

    def _rows_before(self) -> str:
        """SQL of the rows that the last build left."""
        if self.before is None or self.history is None:
            return "select * from forebay_fresh where false"
        if stands_at(self.latest, self.before):
            assert self.latest is not None
            return pin(self.latest).sql
        return (
            "select * exclude (computed_at, committed_at, deleted) from (select * from "
            f"({pin(self.history).sql}) as log qualify row_number() over (partition by {self.keys} "
            "order by committed_at desc) = 1) where not deleted"
        )

    def commit(self, how: str, touched: int, changed: bool) -> int:
        """Append to the log, then replace the latest rows. Returns the rows of the table."""
        with ThreadPoolExecutor(1) as beside:
            logged = beside.submit(self._log(changed))
            # DuckDB writes the latest rows' file while Python commits the log.
            replace = self._replace(how, touched)
            logged.result()
        return replace()

    def _log(self, changed: bool) -> Callable[[], int]:
        if not changed and self.history is not None:
            return partial(set_properties, self.history, self.properties | self.defined)
        sql = (
            f"select {self.listed}, deleted, $as_of as computed_at, "
            "cast(get_current_timestamp() as timestamptz) as committed_at from forebay_changes"
        )
        zoned = "TIMESTAMP WITH TIME ZONE"
        types = {n: self.types[n] for n in self.columns}
        types |= {"deleted": "BOOLEAN", "computed_at": zoned, "committed_at": zoned}
        name = self.view.history_table
        return self._write(name, self.history, sql, types, "append", "add")

    def _replace(self, how: str, touched: int) -> Callable[[], int]:
        if how == "step" and not touched and stands_at(self.latest, self.before):
            assert self.latest is not None
            return partial(set_properties, self.latest, self.properties)
        sql = f"select {self.held} from forebay_fresh"
        if how == "step":
            sql += (
                f" union all select {self.held} from forebay_before "
                f"anti join forebay_touched using ({self.keys})"
            )
        else:
            sql += f" order by {self.keys}"
        types = {n: self.types[n] for n in [*self.columns, *self.sums]}
        return self._write(self.view.table, self.latest, sql, types, "replace", "exact")

    def _write(
        self,
        identifier: str,
        table: Table | None,
        sql: str,
        types: Mapping[str, str],
        mode: Mode,
        columns: Columns,
    ) -> Callable[[], int]:
        return write_query(
            self.connection,
            self.catalog,
            identifier,
            sql,
            types,
            at=self.at,
            mode=mode,
            columns=columns,
            properties=self.properties
            | (_LATEST_PROPERTIES if mode == "replace" else self.defined),
            table=table,
        )

    def look(self, done: Advance, roles: Mapping[str, LeafEntry], clock: str) -> Advance:
        """Add what was seen of the rows that were read: all of them, or those that came."""
        added = self.added if done.how == "step" and done.rows else None
        sights = look_at_leaves(self.connection.execute, self.view, roles, self.leaves, added)
        warnings = [w for s in sights for w in s.warnings]
        if not done.rows:
            why = why_no_rows(self.view, sights, self.state.at, clock)
            warnings += [why] if why else []
        return replace(
            done, warnings=tuple(warnings), notes=tuple(n for s in sights for n in s.notes)
        )

    def count_latest(self) -> int:
        return count_rows(self.latest) if self.latest is not None else 0

    def _types(self, relation: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self._run(f"describe {relation}").fetchall()}

    def _count(self, relation: str) -> int:
        return int(self._run(f"select count(*) from {relation}").fetchall()[0][0])

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        before = EPOCH + timedelta(microseconds=self.before.at) if self.before else None
        return self.connection.execute(sql, instants_of(sql, self.at, before) or None)
