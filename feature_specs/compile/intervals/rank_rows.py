"""Window functions and QUALIFY over rows that come and go.

Where rows start in the order of the window and never end, what a frame up to the current row gives
is settled once the row starts. The latest of a partition, or its latest n, live until enough later
rows have started. All else is evaluated anew wherever a row of the partition starts or ends, which
is right and may be quadratic.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.intervals.block import Block
from feature_specs.compile.intervals.interval_relation import END, START, NoFormError, listed
from feature_specs.compile.intervals.leaf_lifetimes import winners_sql
from feature_specs.compile.sql.aggregate_calls import function_of
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.time_axis import NEVER


def rank_rows(block: Block) -> None:
    """Replace the window functions of a SELECT by columns, and apply QUALIFY.

    Raises:
        NoFormError: the clock stands in a window, or in QUALIFY as more than a plain bound.
    """
    windows = [w for part in block.expressions() for w in part.find_all(exp.Window)]
    if any(has_clock(w) for w in windows):
        raise NoFormError("the clock stands in a window function")
    window = block.window
    in_order = (
        block.appended is not None
        and len(window.starts) == 1
        and (window.never_ends or (window.width or 0) > 0)
    )
    never_ends = window.never_ends and bool(window.starts)
    kept = _first_rows(block)
    relation = block.materialize("windowed")
    if kept is not None:
        kept = _first_rows(block)
        assert kept is not None
        if in_order and _follows(block, kept.rank):
            _keep_latest(block, relation, kept)
            return
        if never_ends and kept.count == 1:
            _keep_winner(block, relation, kept)
            return
    once = _partition_columns(kept)
    while windows := [w for part in block.expressions() for w in part.find_all(exp.Window)]:
        together = [w.copy() for w in windows if _partition(w) == _partition(windows[0])]
        settled = in_order and never_ends and all(_is_settled(block, w) for w in together)
        _add_columns(block, together, settled=settled)
    qualify = block.tree.args.get("qualify")
    for test in conjuncts(qualify):
        if not block.keep(test.copy()):
            raise NoFormError("the clock stands in QUALIFY")
    block.tree.set("qualify", None)
    if once is not None:
        block.unique = frozenset((block.materialized, name) for name in once)


@dataclass(frozen=True)
class _FirstRows:
    """QUALIFY row_number() over (...) <= count, and no other use of any window function."""

    rank: exp.Window
    count: int


def _partition_columns(kept: _FirstRows | None) -> list[str] | None:
    """Columns by which one row per value is kept; None where the SELECT keeps more."""
    if kept is None or kept.count != 1:
        return None
    parts = kept.rank.args.get("partition_by") or []
    return [p.name for p in parts] if all(isinstance(p, exp.Column) for p in parts) else None


def _first_rows(block: Block) -> _FirstRows | None:
    qualify = block.tree.args.get("qualify")
    tests = list(conjuncts(qualify))
    windows = [w for part in block.expressions() for w in part.find_all(exp.Window)]
    if len(windows) != 1 or len(tests) != 1:
        return None
    test = tests[0]
    if not isinstance(test, (exp.EQ, exp.LT, exp.LTE)) or test.this is not windows[0]:
        return None
    if not isinstance(windows[0].this, exp.RowNumber) or not isinstance(
        test.expression, exp.Literal
    ):
        return None
    if not test.expression.is_int:
        return None
    count = int(test.expression.this) - (1 if isinstance(test, exp.LT) else 0)
    if count < 1 or (isinstance(test, exp.EQ) and count != 1):
        return None
    return _FirstRows(windows[0], count)


def _follows(block: Block, rank: exp.Window) -> bool:
    """The window puts the row that started last first."""
    order = rank.args["order"].expressions
    # A row without an instant never lives, so where nulls stand does not matter.
    return bool(order[0].args.get("desc")) and order[0].this == block.appended


def _keep_latest(block: Block, relation: str, kept: _FirstRows) -> None:
    columns = block.columns[block.materialized]
    order = ", ".join(_reversed(o) for o in kept.rank.args["order"].expressions)
    until = f"lead({START}, {kept.count}, {NEVER}) over ({_partition(kept.rank)} order by {order})"
    sql = (
        f"select * from (select {listed(columns)}{START}, least({END}, {until}) as {END} "
        f'from "{relation}" as {block.materialized}) as latest where {START} < {END}'
    )
    _go_on(block, block.ctes.add("latest", sql), kept)


def _keep_winner(block: Block, relation: str, kept: _FirstRows) -> None:
    columns = block.columns[block.materialized]
    order = ", ".join(duckdb_sql(o) for o in kept.rank.args["order"].expressions)
    partition = _partition(kept.rank).removeprefix("partition by ")
    sql = winners_sql(f'"{relation}"', partition, order, block.materialized)
    name = block.ctes.add("latest", f"select {listed(columns)}{START}, {END} from ({sql}) as w")
    _go_on(block, name, kept)


def _go_on(block: Block, name: str, kept: _FirstRows) -> None:
    block.tree.set("qualify", None)
    once = _partition_columns(kept)
    block.unique = (
        frozenset((block.materialized, name) for name in once) if once is not None else None
    )
    block.appended = None
    block.read_from_cte(name, block.own_columns())


def _is_settled(block: Block, window: exp.Window) -> bool:
    """The value cannot change once the row has started."""
    order = window.args.get("order")
    if order is None or order.expressions[0].this != block.appended:
        return False
    if order.expressions[0].args.get("desc"):
        return False
    function = function_of(window.this)
    if isinstance(function, (exp.Lead, exp.Ntile, exp.PercentRank, exp.CumeDist)):
        return False
    if isinstance(function, exp.Lag):
        offset = function.args.get("offset")
        # An offset below zero, or one that a row gives, may look ahead.
        if offset is not None and not (isinstance(offset, exp.Literal) and offset.is_int):
            return False
    spec = window.args.get("spec")
    if spec is None:
        return True
    end = str(spec.args.get("end") or "CURRENT ROW").upper()
    return end == "CURRENT ROW" or str(spec.args.get("end_side")).upper() == "PRECEDING"


def _add_columns(block: Block, windows: list[exp.Window], *, settled: bool) -> None:
    relation, alias = _name_of(block), block.materialized
    columns = block.columns[alias]
    named = {w: f"win{len(columns) + i}" for i, w in enumerate(dict.fromkeys(windows))}
    if settled:
        values = "".join(f", {duckdb_sql(w)} as {n}" for w, n in named.items())
        name = block.ctes.add(
            "ranked",
            f'select {listed(columns)}{START}, {END}{values} from "{relation}" as {alias}',
        )
    else:
        name = block.ctes.add("ranked", _segments_sql(relation, alias, columns, named))
        block.appended = None

    def replaced(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Window) and node in named:
            column = exp.column(named[node], table=alias, quoted=True)
            column.type = node.type
            return column
        return node

    block.tree = block.tree.transform(replaced, copy=False)  # type: ignore[assignment]
    block.read_from_cte(
        name, {**block.own_columns(), **{(alias, n): n for n in named.values()}}, never_ends=settled
    )


def _segments_sql(
    relation: str, alias: str, columns: tuple[str, ...], named: dict[exp.Window, str]
) -> str:
    partition = _partition(next(iter(named))).removeprefix("partition by ")
    group = f"dense_rank() over (order by {partition})" if partition else "1"
    values = []
    for window, name in named.items():
        moved = window.copy()
        moved.set("partition_by", [exp.column("fb_part"), exp.column(START)])
        values.append(f", {duckdb_sql(moved)} as {name}")
    rows = f'select *, {group} as fb_part from "{relation}" as {alias}'
    return (
        f"with fb_rows as materialized ({rows}), fb_edges as (select fb_part, {START} as fb_from "
        f"from fb_rows union select fb_part, {END} from fb_rows where {END} < {NEVER}), "
        f"fb_segments as (select fb_part, fb_from, lead(fb_from, 1, {NEVER}) over "
        f"(partition by fb_part order by fb_from) as fb_till from fb_edges), "
        f"fb_alive as (select r.* exclude ({START}, {END}), g.fb_from as {START}, g.fb_till as {END} "
        f"from fb_rows as r "
        f"join fb_segments as g on r.fb_part = g.fb_part and r.{START} <= g.fb_from "
        f"and g.fb_from < r.{END}) "
        f"select {listed(columns)}{START}, {END}{''.join(values)} "
        f"from fb_alive as {alias}"
    )


def _name_of(block: Block) -> str:
    table = block.source.find(exp.Table)
    assert table is not None
    return table.name


def _partition(window: exp.Window) -> str:
    parts = window.args.get("partition_by") or []
    return "partition by " + ", ".join(duckdb_sql(p) for p in parts) if parts else ""


def _reversed(order: exp.Ordered) -> str:
    direction = "asc" if order.args.get("desc") else "desc"
    nulls = "last" if order.args.get("nulls_first") else "first"
    return f"{duckdb_sql(order.this)} {direction} nulls {nulls}"
