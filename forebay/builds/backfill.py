"""Backfill a view's history: its rows as of each of many instants, one commit per chunk.

Every instant is F(D, t) over the same snapshots D, which are tagged until the last chunk is in. How
far it has come commits with the rows, so a killed run leaves only whole chunks, and the
next run resumes after them.
"""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.durations import parse_duration
from feature_specs.errors import DataError
from feature_specs.instants import epoch_us, from_epoch_us, microseconds
from feature_specs.names import fold_name
from feature_specs.progress import Progress
from feature_specs.quote import quoted
from forebay.dbt_project.project import Project
from forebay.own_team import check_readable
from forebay.training.regular_spine import Instants
from lakehouse.backfill_state import BACKFILL_PROPERTY, BackfillState, read_backfill
from lakehouse.commit import Columns, Mode
from lakehouse.count_rows import set_properties
from lakehouse.keep_snapshots import forget_snapshots, keep_snapshots, kept_of
from lakehouse.lake import find_table, open_lake
from lakehouse.pin_recorded import pin_recorded
from lakehouse.plans import instants_of, read_plan
from lakehouse.relations import connect, define_relations, leaf_relations, pin_relations
from lakehouse.retained import check_retained
from lakehouse.stored_types import WIDENED
from lakehouse.training_record import table_of
from lakehouse.write_rows import write_query

#: The column that says as of which instant a row is.
AS_OF = "as_of"
_RESET = "`--reset` begins anew, and gives up what is there"


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a backfill, from computing its last instant once.

    Attributes:
        instants: how many are to be computed yet.
        chunks: in how many commits.
        rows, seconds: of all of them; the last instant mostly has the most rows.
    """

    instants: int
    chunks: int
    rows: int
    seconds: float


@dataclass(frozen=True)
class Backfilled:
    """What was done.

    Attributes:
        table: the Iceberg table of the view's history.
        instants: how many it holds.
        before: how many of them were there already.
        rows: that were written.
    """

    view: str
    table: str
    instants: int
    before: int
    rows: int


class Backfill:
    """A backfill of one view: what its history table holds, and the instants still to compute.

    Args:
        every, start, end: the instants, ``end`` inclusive; durations and ISO 8601 with offset.
        chunk: how much of the history is one commit.
        now: the run's clock, beyond which nothing is known.
        reset: begin anew.

    Raises:
        ForebayError: an option is wrong, the view has no past, a table cannot be read, or the table
            of its history holds other instants or another meaning.
    """

    def __init__(
        self,
        project: Project,
        view: str,
        every: str,
        start: str,
        end: str,
        chunk: str,
        now: datetime,
        reset: bool = False,
    ) -> None:
        self.catalog: Catalog = project.catalog()
        self.view: ViewEntry = self.catalog.view(view)
        check_readable(project, self.catalog, [view])
        _check_columns(self.view)
        self.plan = read_plan(project.folder, self.view.name)
        self.lake: Lake = open_lake(self.catalog.lake)
        instants = Instants.of(every, start, end)
        _check_past(self.catalog, self.view, instants, now)
        length = microseconds(parse_duration(chunk, where="--chunk", example="30 days"))
        self.per_chunk = max(1, length // instants.step)
        self.table = self.view.as_of_table
        self._reset = reset
        self.state = self._find_state(instants)
        self._named = f"backfill {self.view.name}"

    @property
    def left(self) -> int:
        """The number of instants still to compute."""
        return self.state.number - self.state.done

    def estimate(self) -> Estimate:
        """Estimate all instants by computing the last one. Writes nothing."""
        if not self.left:
            return Estimate(0, 0, 0, 0.0)
        with closing(self._connect()) as connection:
            began = time.perf_counter()
            rows = self._fill(connection, self.state.number - 1, 1)
            took = time.perf_counter() - began
        chunks = -(-self.left // self.per_chunk)
        return Estimate(self.left, chunks, rows * self.left, took * self.left)

    def run(self, report: Progress | None = None) -> Backfilled:
        """Compute the remaining instants, one commit per chunk.

        Raises:
            DataError: another backfill of the view commits at the same time.
        """
        before, rows = self.state.done, 0
        if self.left:
            with closing(self._connect()) as connection:
                self._begin(connection)
                keep_snapshots(self.lake, self.state.record)
                for first in range(self.state.done, self.state.number, self.per_chunk):
                    number = min(self.per_chunk, self.state.number - first)
                    self._fill(connection, first, number)
                    rows += self._commit(connection, "append", "fixed", first + number)
                    if report is not None:
                        report(self._named, self.state.done, self.state.number)
        if not self.left:
            forget_snapshots(self.lake, self.state.id, kept_of(self.state.record))
        return Backfilled(self.view.name, self.table, self.state.number, before, rows)

    def _find_state(self, instants: Instants) -> BackfillState:
        """The table's state if the request continues it, else an empty state."""
        wanted = BackfillState(
            secrets.token_hex(8), self.view.name, self.view.definition_hash,
            instants.first, instants.step, instants.number, 0, {},
        )  # fmt: skip
        table = find_table(self.lake, self.table)
        found = read_backfill(table)
        if found is None or self._reset:
            if table is not None and found is None:
                raise DataError(
                    "a table of that name is there, and is not a view's history",
                    where=self.table,
                    hint="drop or rename it",
                )
            return replace(wanted, leaves=self._leaves())
        if found.definition_hash != wanted.definition_hash:
            raise DataError(
                f"feature view {self.view.name!r} means something else than what its history holds",
                where=self.table,
                hint=_RESET,
            )
        if (found.first, found.step) != (wanted.first, wanted.step):
            raise DataError(
                f"its history is from {from_epoch_us(found.first).isoformat()} on, every "
                f"{timedelta(microseconds=found.step)}",
                where=self.table,
                hint=f"give the same --from and --every; {_RESET}",
            )
        if 0 < found.done < found.number or wanted.number <= found.done:
            return replace(found, number=max(found.number, wanted.number))
        # Nothing is there yet, or all that was asked: what comes is read as the tables are now.
        return replace(found, id=wanted.id, number=wanted.number, leaves=self._leaves())

    def _leaves(self) -> dict[str, dict[str, object]]:
        wanted = leaf_relations(self.catalog.leaves[name] for name in self.view.leaves)
        pinned = pin_relations(self.lake, wanted)
        return {relation: table_of(table) for relation, table in pinned.items()}

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = connect(self.catalog)
        of = ("the view's history", _RESET)
        leaves = self.state.leaves.items()
        pinned = {r: pin_recorded(self.lake, dict(told), of) for r, told in leaves}
        read = {n: pinned[self.catalog.leaves[n].relation] for n in self.view.leaves}
        check_retained(self.view, read, self.state.first, "--from")
        define_relations(connection, pinned)
        return connection

    def _begin(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Commit the state before tagging anything, so that a kill leaves no orphaned tag."""
        table = find_table(self.lake, self.table)
        before = read_backfill(table)
        if before is not None and before.id != self.state.id:
            forget_snapshots(self.lake, before.id, kept_of(before.record))
        if table is None or self._reset:
            self._fill(connection, 0, 0)
            self._commit(connection, "replace" if table else "append", "exact", 0)
            self._reset = False
        else:
            set_properties(table, {BACKFILL_PROPERTY: self.state.dumps()})

    def _fill(self, connection: duckdb.DuckDBPyConnection, first: int, number: int) -> int:
        """Fill ``forebay_history`` with F(D, t) for some instants. Returns the number of rows."""
        sql = self.plan.features.replace("forebay_stored", f"(\n{self.plan.create}\n)")
        made = f"select cast($as_of as timestamptz) as {quoted(AS_OF)}, * from (\n{sql}\n) as made"
        none = f"create or replace temp table forebay_history as {made} limit 0"
        connection.execute(none, instants_of(none, self._instant(first)))
        for place in range(first, first + number):
            filled = f"insert into forebay_history {made}"
            connection.execute(filled, instants_of(filled, self._instant(place)))
        ((rows,),) = connection.execute("select count(*) from forebay_history").fetchall()
        return int(rows)

    def _instant(self, place: int) -> datetime:
        return from_epoch_us(self.state.first + place * self.state.step)

    def _commit(
        self, connection: duckdb.DuckDBPyConnection, mode: Mode, columns: Columns, done: int
    ) -> int:
        """Commit ``forebay_history`` together with the progress. Returns its number of rows."""
        described = connection.execute("describe forebay_history").fetchall()
        types = {name: WIDENED.get(kind, kind) for name, kind, *_ in described}
        listed = ", ".join(
            f"cast({quoted(n)} as {kind}) as {quoted(n)}" for n, kind in types.items()
        )
        state = replace(self.state, done=done)
        properties = {BACKFILL_PROPERTY: state.dumps()}
        table = find_table(self.lake, self.table)
        found = read_backfill(table)
        if found is not None and mode == "append" and found != self.state:
            raise DataError(
                "another backfill of the view is at work, or was begun meanwhile",
                where=self.table,
                hint="run it again once that is done",
            )
        ((rows,),) = connection.execute("select count(*) from forebay_history").fetchall()
        if table is not None and not rows and mode == "append":
            set_properties(table, properties)
        else:
            write_query(
                connection, self.lake, self.table,
                f"select {listed} from forebay_history order by {quoted(AS_OF)}", types,
                at=self._instant(0), mode=mode, columns=columns, properties=properties, table=table,
            )()  # fmt: skip
        self.state = state
        return int(rows)


def _check_columns(view: ViewEntry) -> None:
    """Refuse a column of the view's by the name that the instants have."""
    named = [*view.keys, *([view.event_time] if view.event_time else [])]
    for name in [*named, *(f.name for f in view.features)]:
        if fold_name(name) == AS_OF:
            raise DataError(
                f"feature view {view.name!r} has a column {name!r}, which in its history says as of "
                "which instant a row is",
                where=view.file,
                hint="call it something else in the view",
            )


def _check_past(catalog: Catalog, view: ViewEntry, instants: Instants, now: datetime) -> None:
    """Refuse instants after the run's clock."""
    for name in view.leaves:
        if catalog.leaves[name].written == "mutable":
            raise DataError(
                f"feature view {view.name!r} reads {name}, whose rows are rewritten in place, so it "
                "has no history",
                where=view.file,
                hint="read a snapshot or a changelog of it",
            )
    last = instants.first + (instants.number - 1) * instants.step
    if last > epoch_us(now):
        raise DataError(
            f"{from_epoch_us(last).isoformat()} is after the run's clock, {now.isoformat()}",
            where="--to",
            hint="end it there, or earlier",
        )
