"""Outer, semi, anti and as-of joins, and correlated subqueries, over interval rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.draft import IntervalForm, Term, Window
from feature_specs.compile.intervals.block import Block
from feature_specs.compile.intervals.clip_clock import clip_clock
from feature_specs.compile.intervals.gather_aggregates import AggregateGatherer
from feature_specs.compile.intervals.interval_relation import (
    END,
    ROW_ID,
    START,
    IntervalRelation,
    NoFormError,
    listed,
)
from feature_specs.compile.intervals.match_rows import gaps_sql, pairs_sql, semi_sql
from feature_specs.compile.intervals.step_groups import step_groups
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.time_axis import earliest_sql, latest_sql, null_tests

_MATCHED = "fb_matched"


@dataclass(frozen=True)
class Right:
    """The right side of a join, as a CTE of rows with lifetimes.

    Attributes:
        alias: what conditions, and the SELECT, call it by.
        unique: its columns that no two living rows share, if proved.
    """

    name: str
    alias: str
    columns: tuple[str, ...]
    unique: frozenset[str] | None = None

    def passed(self, column: str) -> str:
        """The name under which a column is handed on beside the left's."""
        return f"{self.alias}__{column}"


def outer_join(block: Block, right: Right, on: Sequence[exp.Expr]) -> None:
    """LEFT JOIN: pairs while both live and match, and left rows while they have no match."""
    once = matches_at_most_once(right, on)
    pairs = _Pairs.make(block, right, on)
    block.unique = block.unique if once else None
    _go_on(block, pairs, f"{pairs.alive_sql(pairs.name)} union all {pairs.unmatched_sql()}")


def asof_join(block: Block, right: Right, on: Sequence[exp.Expr], *, keep_left: bool) -> None:
    """ASOF [LEFT] JOIN: of the matches that live, the one that stands nearest in the order."""
    place, descending = _place_in_order(right, on)
    pairs = _Pairs.make(block, right, on)
    moved = place.transform(
        lambda n: exp.column(right.passed(n.name), quoted=True) if isinstance(n, exp.Column) else n
    )
    order = [f"{duckdb_sql(moved)} {'desc' if descending else 'asc'} nulls last"]
    order += [f'"{right.passed(c)}" asc nulls last' for c in right.columns]
    best = block.ctes.add("nearest", _first_alive_sql(pairs, ", ".join(order)))
    sql = pairs.alive_sql(best)
    if keep_left:
        sql += f" union all {pairs.unmatched_sql()}"
    _go_on(block, pairs, sql)


def semi_join(block: Block, right: Right, on: Sequence[exp.Expr], *, negated: bool) -> None:
    """EXISTS, IN and their negations: left rows while they have a match, or while they have none."""
    pairs = _Pairs.make(block, right, on, keep_right=False)
    if negated:
        gaps = gaps_sql(pairs.left, pairs.held, pairs.name)
        sql = f"select * from ({gaps}) as gaps where {START} < {END}"
    else:
        sql = semi_sql(pairs.left, pairs.held, pairs.name)
    block.appended = None
    block.read_from_cte(block.ctes.add("anti" if negated else "semi", sql), block.own_columns())


def correlated_aggregate(
    block: Block, right: Right, on: Sequence[exp.Expr], value: exp.Expr, marker: str
) -> None:
    """A scalar subquery: an aggregate of each left row's matches, including left rows without a match.

    Args:
        value: the subquery's select item, over the right side.
        marker: the column that stands in the SELECT where the subquery stood.
    """
    pairs = _Pairs.make(block, right, on)
    ctes = block.ctes
    columns = [right.passed(c) for c in right.columns]
    members = ctes.add(
        "members",
        f"select {listed(columns)}true as {_MATCHED}, {ROW_ID}, {START}, {END} from {pairs.name} "
        f"union all select {'null, ' * len(columns)}false, {ROW_ID}, {START}, {END} "
        f"from {pairs.left}",
    )
    alias = "m"
    window = IntervalRelation(members, ()).window(alias)
    gatherer = AggregateGatherer(window, {})
    result = gatherer.take(_only_matched(_moved(value, {right.alias: alias}, right), alias))
    form = IntervalForm(
        source=exp.Select().from_(f'"{members}" as {alias}', dialect=DUCKDB),
        keys=(),
        columns={"value": result},
        window=window,
        aggregates=tuple(gatherer.aggregates.values()),
        grouped=True,
    )
    groups = step_groups(ctes, form, {ROW_ID: exp.column(ROW_ID, table=alias, quoted=True)})
    sql = (
        f'select {listed(pairs.held, "l")}g.value as "{marker}", '
        f"greatest(l.{START}, g.{START}) as {START}, least(l.{END}, g.{END}) as {END} "
        f'from {pairs.left} as l join "{groups.name}" as g on l.{ROW_ID} = g.{ROW_ID}'
    )
    block.appended = None
    renamed = {**block.own_columns(), ("fb_scalar", marker): marker}
    block.read_from_cte(ctes.add("correlated", sql), renamed)


@dataclass(frozen=True)
class _Pairs:
    """Left rows beside their matches while both live.

    Attributes:
        held: the left's columns; ``columns`` has the right's behind them.
    """

    name: str
    left: str
    held: tuple[str, ...]
    right: Right

    @classmethod
    def make(
        cls, block: Block, right: Right, on: Sequence[exp.Expr], *, keep_right: bool = True
    ) -> _Pairs:
        left, renamed = block.materialize_with("left", on)
        held = block.columns[block.materialized]
        life = Window((_axis("l", START), _axis("r", START)), (_axis("l", END), _axis("r", END)))
        tests = []
        for test in renamed:
            moved = _moved(test, {block.materialized: "l", right.alias: "r"})
            if not has_clock(moved):
                tests.append(duckdb_sql(moved))
                continue
            clip = clip_clock(moved)
            if clip is None:
                raise NoFormError(
                    f"the clock stands in ON in {duckdb_sql(test)}, which is not a plain bound"
                )
            life = life.clip(clip)
            tests += null_tests([*clip.starts, *clip.ends])
        span = f"{latest_sql(life.starts)} as {START}, {earliest_sql(life.ends)} as {END}"
        columns = [f'l."{c}"' for c in held]
        if keep_right:
            columns += [f'r."{c}" as "{right.passed(c)}"' for c in right.columns]
        sql = pairs_sql(f'"{left}"', f'"{right.name}"', columns, tests, span)
        return cls(f'"{block.ctes.add("pairs", sql)}"', f'"{left}"', held, right)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.held, *(self.right.passed(c) for c in self.right.columns))

    def alive_sql(self, relation: str) -> str:
        name = relation if relation.startswith('"') else f'"{relation}"'
        return f"select {listed(self.columns)}{START}, {END} from {name}"

    def unmatched_sql(self) -> str:
        """Left rows with nulls beside them, while they have no match."""
        nulls = "".join(f', null as "{self.right.passed(c)}"' for c in self.right.columns)
        gaps = gaps_sql(self.left, self.held, self.name, nulls)
        columns = listed(self.columns)
        return f"select {columns}{START}, {END} from ({gaps}) as gaps where {START} < {END}"


def matches_at_most_once(right: Right, on: Sequence[exp.Expr]) -> bool:
    """The condition fixes all columns that tell the right's living rows apart."""
    if right.unique is None:
        return False
    fixed = {
        side.name
        for test in on
        if isinstance(test, exp.EQ)
        for side, other in ((test.this, test.expression), (test.expression, test.this))
        if isinstance(side, exp.Column)
        and side.table == right.alias
        and all(c.table != right.alias for c in other.find_all(exp.Column))
    }
    return right.unique <= fixed


def _go_on(block: Block, pairs: _Pairs, sql: str) -> None:
    right = pairs.right
    block.appended = None
    renamed = {
        **block.own_columns(),
        **{(right.alias, c): right.passed(c) for c in right.columns},
    }
    block.read_from_cte(block.ctes.add("joined", sql), renamed)


def _first_alive_sql(pairs: _Pairs, order: str) -> str:
    """Of the pairs of each left row, the first of an order among those that live."""
    edges = (
        f"select {ROW_ID}, {START} as fb_from from {pairs.name} union "
        f"select {ROW_ID}, {END} from {pairs.name}"
    )
    segments = (
        f"select {ROW_ID}, fb_from, lead(fb_from) over (partition by {ROW_ID} order by fb_from) "
        f"as fb_till from ({edges}) as edges"
    )
    return (
        f"select {listed(pairs.columns)}{ROW_ID}, {START}, {END} from ("
        f"select p.* exclude ({START}, {END}), g.fb_from as {START}, g.fb_till as {END} "
        f"from {pairs.name} as p join ({segments}) as g on p.{ROW_ID} = g.{ROW_ID} and p.{START} <= g.fb_from "
        f"and g.fb_from < p.{END}) as alive "
        f"qualify row_number() over (partition by {ROW_ID}, {START} order by {order}) = 1"
    )


def _place_in_order(right: Right, on: Sequence[exp.Expr]) -> tuple[exp.Expr, bool]:
    """The inequality of an as-of join, the right's side of it, and whether the greatest is nearest."""
    for test in on:
        if not isinstance(test, (exp.GT, exp.GTE, exp.LT, exp.LTE)):
            continue
        for side in (test.this, test.expression):
            if all(c.table == right.alias for c in side.find_all(exp.Column)):
                below = (exp.LT, exp.LTE) if side is test.this else (exp.GT, exp.GTE)
                return side, isinstance(test, below)
    raise NoFormError("the ASOF join has no inequality")


def _only_matched(node: exp.Expr, alias: str) -> exp.Expr:
    """Aggregates that leave out the left row's own stand-in."""
    matched = exp.column(_MATCHED, table=alias, quoted=True)
    if isinstance(node, exp.Filter):
        test = exp.and_(matched, node.expression.this.copy())
        return exp.Filter(this=node.this.copy(), expression=exp.Where(this=test))
    if isinstance(node, exp.AggFunc):
        made = exp.Filter(this=node.copy(), expression=exp.Where(this=matched))
        made.type = node.type
        return made
    for key, value in list(node.args.items()):
        if isinstance(value, exp.Expr):
            node.set(key, _only_matched(value, alias))
        elif isinstance(value, list):
            node.set(
                key, [_only_matched(v, alias) if isinstance(v, exp.Expr) else v for v in value]
            )
    return node


def _moved(node: exp.Expr, tables: dict[str, str], passed: Right | None = None) -> exp.Expr:
    """The expression with its columns under other tables."""

    def rename(n: exp.Expr) -> exp.Expr:
        if isinstance(n, exp.Column) and n.table in tables:
            name = passed.passed(n.name) if passed is not None else n.name
            column = exp.column(name, table=tables[n.table], quoted=True)
            column.type = n.type
            return column
        return n

    return node.copy().transform(rename)


def _axis(alias: str, column: str) -> Term:
    return Term(exp.column(column, table=alias, quoted=True), on_axis=True)
