"""Bring a feature table from (D0, T0) to (D1, T1): by a step where that is sound, else in full.

Two Iceberg tables a view: the latest row of each entity, and an append-only log of what changed.
The log commits first, with the new state in its properties; a crash between the two commits leaves
the log ahead, and the next run folds the log to find where the latest table ought to be.

Where the view's aggregates are exact, the latest table also holds the running sums that they are
made of (columns ``fb_...``), and a step adds to them what the rows that came and went amount to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.catalog import ViewEntry
from feature_specs.errors import DataError
from feature_specs.leaf import leaf_key
from lakehouse.commit import Columns, Mode
from lakehouse.lake import STATE_PROPERTY, FeatureState, find_table, read_state
from lakehouse.plans import ViewPlan, instants_of
from lakehouse.scan import Pinned, added_files, define_view, files_sql, pin, same_meaning
from lakehouse.sum_up import add_deltas, sum_up
from lakehouse.write_rows import commit_query, set_properties

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Advance:
    """What one materialization did.

    Attributes:
        how: ``full``, ``step`` or ``nothing``.
        why: for a full one what ruled the step out, for a step by which of the two ways.
        touched: entities recomputed, or to whose sums something was added.
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
    rows = session.commit(how, touched, upserts + deletes > 0)
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
        self.sums = plan.deltas.sums if plan.deltas is not None else ()
        self.held = ", ".join([self.listed, *self.sums])
        self.added: dict[str, tuple[str, ...] | None] = {}

    def decide(self, full_refresh: bool) -> tuple[str, str]:
        """How to get there, and why not more cheaply."""
        before = self.before
        if full_refresh:
            return "full", "it was asked for"
        if before is None:
            return "full", "there is no table yet"
        if before.semantic_hash != self.view.semantic_hash:
            return "full", "the view means something else now"
        if before == self.state and self._latest_stands_at(self.state):
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
            if not same_meaning(self.leaves[name].table, before.snapshots.get(name)):
                return "full", f"a column of {name} is another one now"
        if self.sums and not self._latest_stands_at(before):
            return "full", "the last build was cut short, and the sums are those of one before"
        if self.sums and not self._has_sums():
            return "full", "the table holds no running sums yet"
        return "step", "sums take deltas" if self.sums else "keys touched are recomputed"

    def _latest_stands_at(self, state: FeatureState | None) -> bool:
        return self.latest is not None and read_state(self.latest) == state

    def _has_sums(self) -> bool:
        assert self.latest is not None
        return set(self.sums) <= {f.name for f in self.latest.schema().fields}

    def _added(self, leaf: str) -> tuple[str, ...] | None:
        assert self.before is not None
        if leaf not in self.added:
            pinned, since = self.leaves[leaf], self.before.snapshots.get(leaf)
            removed = pinned.delete_files
            self.added[leaf] = (
                None if removed else added_files(pinned.table, since, pinned.snapshot)
            )
        return self.added[leaf]

    def compute(self, how: str) -> int:
        """Fill ``forebay_fresh``, and ``forebay_touched`` for a step. Returns entities computed."""
        if how == "step":
            self._define_previous()
        deltas = self.plan.deltas
        if deltas is None:
            self._recompute(how)
        elif how == "full":
            sum_up(self._run, deltas, self.leaves[deltas.leaf], self.state.at)
        else:
            assert self.before is not None
            keys = [_quoted(c.name) for c in self.view.entities]
            added = self._added(deltas.leaf) or ()
            leaf = self.leaves[deltas.leaf]
            add_deltas(self._run, deltas, leaf, self.before, self.state.at, added, keys)
        self._fit_types()
        if how == "full":
            self._define_previous()
        name = "forebay_touched" if how == "step" else "forebay_fresh"
        return self._count(f"from {name}")

    def _recompute(self, how: str) -> None:
        if how == "step":
            assert self.plan.touched is not None
            for name in self.view.leaves:
                select = files_sql(self.leaves[name].table.schema(), self._added(name) or ())
                self._run(f"create or replace temp view forebay_added_{leaf_key(name)} as {select}")
            self._run(f"create or replace temp table forebay_touched as {self.plan.touched}")
        query = self.plan.step if how == "step" else self.plan.create
        self._run(f"create or replace temp table forebay_fresh as {query}")

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
        known, fresh = self._types("forebay_previous"), self._types("forebay_fresh")
        scope = f"semi join forebay_touched using ({self.keys})" if how == "step" else ""
        # Of other columns or types every row is new.
        alike = all(known.get(n) == fresh[n] for n in self.columns)
        unchanged = f"except select {self.listed} from forebay_previous {scope}" if alike else ""
        self._run(
            "create or replace temp table forebay_changes as select *, false as deleted "
            f"from (select {self.listed} from forebay_fresh {unchanged}) as changed"
        )
        self._run(
            f"insert into forebay_changes by name (select {self.keys}, true as deleted "
            f"from (select {self.keys} from forebay_previous {scope}) as gone "
            f"anti join forebay_fresh using ({self.keys}))"
        )
        ((upserts, deletes),) = self._run(
            "select count(*) filter (where not deleted), count(*) filter (where deleted) "
            "from forebay_changes"
        ).fetchall()
        return int(upserts), int(deletes)

    def _define_previous(self) -> None:
        """Fill ``forebay_previous`` with the rows that the last build left."""
        if self.before is None or self.history is None:
            self._run(
                "create or replace temp table forebay_previous as "
                "select * from forebay_fresh where false"
            )
            return
        if self._latest_stands_at(self.before):
            assert self.latest is not None
            define_view(self.connection, "forebay_latest", pin(self.latest), temporary=True)
            self._run(
                "create or replace temp table forebay_previous as select * from forebay_latest"
            )
            return
        define_view(self.connection, "forebay_log", pin(self.history), temporary=True)
        self._run(
            "create or replace temp table forebay_previous as select * exclude "
            "(computed_at, committed_at, deleted) from (select * from forebay_log "
            f"qualify row_number() over (partition by {self.keys} order by committed_at desc) = 1) "
            "where not deleted"
        )

    def commit(self, how: str, touched: int, changed: bool) -> int:
        """Append to the log, then replace the latest rows. Returns the rows of the table."""
        state = {STATE_PROPERTY: self.state.dumps()}
        if changed or self.history is None:
            log = (
                "select *, $as_of as computed_at, cast(get_current_timestamp() as timestamptz) "
                "as committed_at from forebay_changes"
            )
            self._write(self.view.history_table, self.history, log, "append", "add")
        else:
            set_properties(self.history, state)
        if how == "step" and not touched and self._latest_stands_at(self.before):
            assert self.latest is not None
            set_properties(self.latest, state)
            return self.count_latest()
        rows = f"select {self.held} from forebay_fresh"
        if how == "step":
            rows += (
                f" union all select {self.held} from forebay_previous "
                f"anti join forebay_touched using ({self.keys})"
            )
        rows += f" order by {self.keys}"
        return self._write(self.view.table, self.latest, rows, "replace", "exact")

    def _write(
        self, identifier: str, table: Table | None, sql: str, mode: Mode, columns: Columns
    ) -> int:
        return commit_query(
            self.connection,
            self.catalog,
            identifier,
            sql,
            at=self.at,
            mode=mode,
            columns=columns,
            properties={STATE_PROPERTY: self.state.dumps()},
            table=table,
        )

    def count_latest(self) -> int:
        current = self.latest.current_snapshot() if self.latest is not None else None
        if current is None or current.summary is None:
            return 0
        return int(current.summary.additional_properties.get("total-records", 0))

    def _types(self, relation: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self._run(f"describe {relation}").fetchall()}

    def _count(self, tail: str) -> int:
        return int(self._run(f"select count(*) {tail}").fetchall()[0][0])

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        before = EPOCH + timedelta(microseconds=self.before.at) if self.before else None
        return self.connection.execute(sql, instants_of(sql, self.at, before) or None)


def _quoted(name: str) -> str:
    return '"' + name + '"'
