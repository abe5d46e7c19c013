"""Bring a feature table from (D0, T0) to (D1, T1): by a step where that is sound, else in full.

Two Iceberg tables a view: the latest row of each entity, and an append-only log of what changed.
The log commits first, with the new state in its properties; a crash between the two commits leaves
the log ahead, and the next run folds the log to find where the latest table ought to be.

A step finds the rows that it changes by an index (`key_index`), and writes these alone
(`change_rows`); `clean_files` keeps what that leaves behind in bounds. Small tables, and those
that are not written by DuckDB on a local disk, are written anew.

Where the view's aggregates are exact, the latest table also holds the running sums that they are
made of (columns ``fb_...``), and a step adds to them what the rows that came and went amount to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from time import monotonic

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from feature_specs.catalog import LeafEntry, ViewEntry
from feature_specs.errors import DataError
from feature_specs.instants import epoch_us, from_epoch_us
from feature_specs.quote import quoted
from lakehouse.commit import Columns, Mode
from lakehouse.count_rows import count_rows, set_properties
from lakehouse.data_files.find_unreadable import BROKEN_ROWS, find_unreadable
from lakehouse.duckdb_types import column_types
from lakehouse.feature_tables.change_rows import change_rows
from lakehouse.feature_tables.choose_step import StepChoice, choose_step, stands_at, state_at
from lakehouse.feature_tables.clean_files import clean_table
from lakehouse.feature_tables.compute_rows import ComputeRows, RowsHere, RowTask, StepRefusedError
from lakehouse.feature_tables.fold_log import rows_before
from lakehouse.feature_tables.generations import keep_earlier, switch_back
from lakehouse.feature_tables.key_index import find_rows, is_indexed
from lakehouse.feature_tables.past_runs import note_run
from lakehouse.feature_tables.sum_up import add_deltas
from lakehouse.lake import DEFINITION_PROPERTY, STATE_PROPERTY, find_table, load_table, read_state
from lakehouse.local_path import is_local
from lakehouse.notice_rows import look_at_leaves, why_no_rows
from lakehouse.plans import ViewPlan, instants_of
from lakehouse.retained import check_retained
from lakehouse.scan import Pinned, pin
from lakehouse.stored_types import WIDENED
from lakehouse.write_rows import may_copy, write_query

#: Of the latest rows, which every step writes anew: what is quickly packed matters more than size.
_LATEST_PROPERTIES = {"write.parquet.compression-codec": "snappy"}

#: Tables of so many rows, one row group, are written anew at each step: that costs no more.
WRITTEN_ANEW = 65_536


@dataclass(frozen=True)
class Advance:
    """Result of one materialization.

    Attributes:
        how: ``full``, ``step`` or ``nothing``.
        why: for a full one what ruled the step out, for a step by which of the two ways.
        touched: entities recomputed, or to whose sums something was added.
        upserts, deletes: rows of the feature table that changed.
        warnings: what is commonly a mistake in the rows that were read.
        notes: what of them was left out; that rows of an earlier build were switched back to.
        refused: why a step could not be computed where it was asked for; empty where it could.
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
    refused: str = ""


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
    compute: ComputeRows = RowsHere,
) -> Advance:
    """Materialize a view at ``at`` over the pinned leaves, whose relations the connection has.

    Args:
        roles: what is known of the leaves, so that their mistakes can be told.
        clock: where ``at`` came from, for people.
        compute: what computes the rows; DuckDB in this connection by default.

    Raises:
        DataError: the data breaks what the view declares, such as one row per entity, or retention
            has removed rows that it reads.
    """
    check_retained(view, leaves, epoch_us(at))
    notes = () if full_refresh else switch_back(connection, catalog, view)
    session = _Session(connection, catalog, view, plan, leaves, at, compute)
    choice = session.decide(full_refresh)
    if choice.how == "nothing":
        session.note_definition()
        rows = session.count_latest()
        done = Advance(view.name, choice.how, choice.why, 0, 0, 0, rows, notes=notes)
        return done if rows else session.look(done, roles or {}, clock)
    try:
        how, why, touched = session.compute(choice)
        upserts, deletes = session.compare()
    except duckdb.Error as error:
        lost = find_unreadable(connection, error, [leaves[name] for name in view.leaves])
        if lost is None and not isinstance(error, BROKEN_ROWS):
            raise
        raise lost or DataError(
            str(error).removeprefix("Invalid Input Error: "),
            where=view.file,
            hint="fix the query, or the rows that break it",
        ) from None
    rows = session.commit(how, touched, upserts + deletes > 0)
    session.clean()
    done = Advance(
        view.name, how, why, touched, upserts, deletes, rows, notes=notes, refused=session.refused
    )
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
        compute: ComputeRows,
    ) -> None:
        self.connection, self.catalog, self.view, self.plan = connection, catalog, view, plan
        self.leaves, self.at, self.started = leaves, at, monotonic()
        self.latest = find_table(catalog, view.table)
        self.history = find_table(catalog, view.history_table)
        self.before = read_state(self.history)
        self.state = state_at(view, leaves, at)
        self.properties = {STATE_PROPERTY: self.state.dumps()}
        self.defined = {DEFINITION_PROPERTY: plan.definition} if plan.definition else {}
        self.keys = ", ".join(map(quoted, view.keys))
        self.columns = view.table_columns
        self.listed = ", ".join(map(quoted, self.columns))
        self.sums = plan.deltas.columns if plan.deltas is not None else ()
        self.held = ", ".join([self.listed, *self.sums])
        self.types: dict[str, str] = {}
        self.located: Pinned | None = None
        self.refused = ""
        self.added: Mapping[str, tuple[ManifestEntry, ...]] = {}
        self.rows = compute(RowTask(view, plan, leaves, self.state.at, self._run))

    def decide(self, full_refresh: bool) -> StepChoice:
        """How to bring the table forward, and why not more cheaply."""
        choice = choose_step(
            self.view,
            self.plan,
            self.leaves,
            self.latest,
            self.before,
            self.state,
            full_refresh=full_refresh,
        )
        self.added = choice.added
        return choice

    def note_definition(self) -> None:
        """Keep what the view is made of, where only that has changed: how it is read, or by whom."""
        if self.history is None or not self.defined:
            return
        if self.history.properties.get(DEFINITION_PROPERTY) != self.plan.definition:
            set_properties(self.history, self.defined)

    def compute(self, choice: StepChoice) -> tuple[str, str, int]:
        """Fill ``forebay_fresh``, and ``forebay_touched`` for a step.

        Returns how that was done and why, and how many entities were computed.
        """
        how, why = choice.how, choice.why
        if how == "step":
            try:
                self._compute_touched()
            except BROKEN_ROWS:
                # Looking for touched keys, a step reads rows that the query itself leaves out.
                how, why = "full", "rows that the query leaves out broke the step"
                self.located = None
            except StepRefusedError as refused:
                how, why = "full", str(refused)
                self.refused, self.located = why, None
        if how == "full":
            self._compute_all()
        self._fit_types()
        return how, why, self._count("forebay_touched" if how == "step" else "forebay_fresh")

    def _compute_all(self) -> None:
        self.rows.compute_all()
        self._run(f"create or replace temp table forebay_previous as {self._rows_before()}")

    def _compute_touched(self) -> None:
        assert self.before is not None
        self.rows.compute_touched(self.before, self.added)
        self.located = self._where_rows_are()
        if self.located is not None:
            before = ("forebay_touched", "forebay_previous")
            find_rows(self.connection, self.located, self.view.keys, *before)
        else:
            self._run(f"create or replace temp table forebay_before as {self._rows_before()}")
            self._run(
                "create or replace temp table forebay_previous as "
                f"select * from forebay_before semi join forebay_touched using ({self.keys})"
            )
        if self.plan.deltas is not None:
            add_deltas(self._run, self.plan.deltas, [quoted(key) for key in self.view.keys])
        else:
            self.rows.compute_step()

    def _fit_types(self) -> None:
        """Widen integers that Iceberg lacks."""
        self.types = self._types("forebay_fresh")
        wide = {n: WIDENED[kind] for n, kind in self.types.items() if kind in WIDENED}
        if wide:
            casts = ", ".join(f"cast({quoted(n)} as {k}) as {quoted(n)}" for n, k in wide.items())
            self._run(
                "create or replace temp table forebay_fresh as "
                f"select * replace ({casts}) from forebay_fresh"
            )
            self.types |= wide

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

    def _where_rows_are(self) -> Pinned | None:
        """The table of latest rows, where a step may change some of them in place; else None."""
        if self.latest is None or self.before is None or not stands_at(self.latest, self.before):
            return None
        if count_rows(self.latest) <= WRITTEN_ANEW or not is_local(self.latest.location()):
            return None
        types = column_types(self.latest.schema())
        if set(types) != {*self.columns, *self.sums} or not may_copy(self.latest, types):
            return None
        pinned = pin(self.latest)
        return pinned if is_indexed(pinned) else None

    def _rows_before(self) -> str:
        """SQL of the rows that the last build left."""
        if self.before is None or self.history is None:
            return "select * from forebay_fresh where false"
        return rows_before(self.latest, self.history, self.before, self.view.keys)

    def commit(self, how: str, touched: int, changed: bool) -> int:
        """Append to the log, then replace the latest rows. Returns the rows of the table."""
        self.latest = keep_earlier(self.catalog, self.latest, self.history, self.view)
        self.defined |= note_run(self.history, how, self.started, self.view, self.leaves)
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
        types = {n: self.types[n] for n in [*self.columns, *self.sums]}
        if self.located is not None:
            if types == column_types(self.located.table.schema()):
                return self._change(self.located)
            self._run(f"create or replace temp table forebay_before as {self._rows_before()}")
        sql = f"select {self.held} from forebay_fresh"
        if how == "step":
            sql += (
                f" union all select {self.held} from forebay_before "
                f"anti join forebay_touched using ({self.keys})"
            )
        else:
            sql += f" order by {self.keys}"
        return self._write(self.view.table, self.latest, sql, types, "replace", "exact")

    def _change(self, pinned: Pinned) -> Callable[[], int]:
        """Write the rows that are others now, and delete those in whose place they stand."""
        came, went = self._count("forebay_fresh"), self._count("forebay_previous")
        self._run(
            "create or replace temp table forebay_changed as "
            f"select {self.held} from forebay_fresh except select {self.held} from forebay_previous"
        )
        alike = (
            f"select {self.keys} from forebay_fresh anti join forebay_changed using ({self.keys})"
        )
        return change_rows(
            self.connection,
            pinned,
            "select * from forebay_changed",
            f"select * from forebay_previous anti join ({alike}) as alike using ({self.keys})",
            rows=count_rows(pinned.table) + came - went,
            properties=self.properties,
        )

    def clean(self) -> None:
        """Pay for what steps leave behind, once they are committed: dead rows, a log's small files."""
        changed = [self.view.table] if self.located is not None else []
        for name in (*changed, self.view.history_table):
            clean_table(self.connection, load_table(self.catalog, name))

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
        notes = (*done.notes, *(n for s in sights for n in s.notes))
        return replace(done, warnings=tuple(warnings), notes=notes)

    def count_latest(self) -> int:
        return count_rows(self.latest) if self.latest is not None else 0

    def _types(self, relation: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self._run(f"describe {relation}").fetchall()}

    def _count(self, relation: str) -> int:
        return int(self._run(f"select count(*) from {relation}").fetchall()[0][0])

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        before = from_epoch_us(self.before.at) if self.before else None
        return self.connection.execute(sql, instants_of(sql, self.at, before) or None)
