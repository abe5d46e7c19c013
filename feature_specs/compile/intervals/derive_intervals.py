"""From a query to rows with lifetimes, operator by operator (DESIGN 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, IntervalForm, Window
from feature_specs.compile.intervals.block import Block, Names
from feature_specs.compile.intervals.gather_aggregates import AggregateGatherer
from feature_specs.compile.intervals.interval_relation import (
    END,
    START,
    CteBuilder,
    IntervalRelation,
    NoFormError,
    listed,
    physical,
)
from feature_specs.compile.intervals.join_rows import Right, semi_join
from feature_specs.compile.intervals.match_rows import islands_sql
from feature_specs.compile.intervals.rank_rows import rank_rows
from feature_specs.compile.intervals.read_from import read_from
from feature_specs.compile.intervals.read_subqueries import read_subqueries
from feature_specs.compile.intervals.split_clock import split_clock
from feature_specs.compile.intervals.step_groups import step_groups
from feature_specs.compile.sql.aggregate_calls import has_aggregates
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.select_item import select_item

_UNKNOWN = ("limit", "offset", "laterals", "connect", "match", "sort", "cluster", "distribute",
            "sample", "pivots", "kind", "into", "locks", "prewhere")  # fmt: skip


@dataclass(frozen=True)
class GroupedQuery:
    """A SELECT that aggregates, before it is known who reads its groups."""

    block: Block
    keys: tuple[exp.Expr, ...]
    items: Mapping[str, exp.Expr]
    aggregates: tuple[AggregateCall, ...]
    having: exp.Expr | None


@dataclass(frozen=True)
class RowQuery:
    """A SELECT of rows: items over a block's source."""

    block: Block
    items: Mapping[str, exp.Expr]


def derive_intervals(ctes: CteBuilder, query: exp.Expr, names: Names) -> IntervalRelation:
    """Make a query rows with lifetimes.

    Raises:
        NoFormError: it has no interval form here.
    """
    if isinstance(query, exp.Subquery):
        return derive_intervals(ctes, query.this, names)
    names = with_names(ctes, query, names)
    if isinstance(query, exp.SetOperation):
        return _derive_set(ctes, query, names)
    if not isinstance(query, exp.Select):
        raise NoFormError(f"a {query.key} stands where a query is read")
    row_query = as_rows(derive_select(ctes, query, names))
    block, items = row_query.block, row_query.items
    sql = physical(ctes.draft, block.source, block.window, items)
    never_ends = block.window.never_ends and bool(block.window.starts)
    relation = IntervalRelation(
        ctes.add("rows", sql),
        tuple(items),
        never_ends=never_ends,
        static=block.window == Window(),
        unique=unique_outputs(row_query),
    )
    return replace(relation, appended=_appended(block, items))


def derive_select(ctes: CteBuilder, select: exp.Select, names: Names) -> GroupedQuery | RowQuery:
    """A SELECT up to its select list; DISTINCT is applied, GROUP BY is left to the reader."""
    _refuse_unknown(select)
    names = with_names(ctes, select, names)
    tree = select.copy()
    tree.set("with_", None)
    tree.set("order", None)
    _tell_apart(tree)
    block = Block(ctes, tree, names)
    read_from(block, derive_intervals)
    block.take_where()
    read_subqueries(block, derive_intervals)
    block.take_where()
    split_clock(block)
    block.take_where()
    if block.tree.args.get("where") is not None:
        raise NoFormError("a condition cannot be placed")
    group = block.tree.args.get("group")
    if group is not None or has_aggregates(block.tree):
        grouped = _gather(block)
        distinct = block.tree.args.get("distinct")
        ranked = _ranks(block.tree)
        later = [*grouped.items.values(), *([grouped.having] if grouped.having is not None else [])]
        if not (distinct or ranked or any(has_clock(n) for n in later)):
            return grouped
        block = _groups_as_block(grouped)
        split_clock(block)
    if _ranks(block.tree):
        rank_rows(block)
        split_clock(block)
    items = {s.alias_or_name: s.unalias() for s in block.tree.selects}
    if any(has_clock(node) for node in items.values()):
        raise NoFormError("the clock is a quantity inside the query")
    row_query = RowQuery(block, items)
    return _distinct(row_query) if block.tree.args.get("distinct") else row_query


def as_rows(selected: GroupedQuery | RowQuery) -> RowQuery:
    """Groups as rows with lifetimes."""
    if isinstance(selected, RowQuery):
        return selected
    block = _groups_as_block(selected)
    return RowQuery(block, {s.alias_or_name: s.unalias() for s in block.tree.selects})


def unique_outputs(row_query: RowQuery) -> frozenset[str] | None:
    """The outputs that tell the living rows apart, where that is proved and all are handed on."""
    unique = row_query.block.unique
    if unique is None or any(node.find(exp.UDTF, exp.Explode) for node in row_query.items.values()):
        return None
    named = {
        (node.table, node.name): name
        for name, node in row_query.items.items()
        if isinstance(node, exp.Column)
    }
    return frozenset(named[u] for u in unique) if unique <= named.keys() else None


def with_names(ctes: CteBuilder, query: exp.Expr, names: Names) -> Names:
    """The names known inside a query: its CTEs, each relation when first read, and once."""
    with_ = query.args.get("with_")
    known: dict[str, Callable[[], IntervalRelation]] = dict(names)
    for cte in with_.expressions if with_ is not None else []:
        outer = dict(known)
        known[cte.alias] = cache(lambda q=cte.this, o=outer: derive_intervals(ctes, q, o))
    return known


def _refuse_unknown(select: exp.Select) -> None:
    for name in _UNKNOWN:
        if select.args.get(name):
            raise NoFormError(f"the query has {name.upper()}")
    group = select.args.get("group")
    if group is not None and any(
        group.args.get(k) for k in ("cube", "rollup", "grouping_sets", "totals", "all")
    ):
        raise NoFormError("the query groups by sets")


def _tell_apart(tree: exp.Select) -> None:
    """Give tables inside subqueries names that none outside has, so that none hides another."""
    start = tree.args.get("from_")
    outer = {j.this.alias_or_name for j in tree.args.get("joins") or []}
    outer |= {start.this.alias_or_name} if start is not None else set()
    for key in ("where", "having", "qualify", "expressions"):
        value = tree.args.get(key)
        for root in value if isinstance(value, list) else [value] if value is not None else []:
            for number, query in enumerate(root.find_all(exp.Query)):
                _rename_tables(query, outer, number)


def _rename_tables(query: exp.Expr, taken: set[str], number: int) -> None:
    sources = [*query.find_all(exp.Table), *query.find_all(exp.Subquery)]
    hidden = {s.alias_or_name for s in sources if s.alias} & taken
    for source in sources:
        if source.alias in hidden:
            renamed = exp.to_identifier(f"{source.alias}_{number}", quoted=True)
            source.set("alias", exp.TableAlias(this=renamed))
    for column in query.find_all(exp.Column):
        if column.table in hidden:
            column.set("table", exp.to_identifier(f"{column.table}_{number}", quoted=True))


def _ranks(tree: exp.Select) -> bool:
    return bool(tree.args.get("qualify")) or any(s.find(exp.Window) for s in tree.selects)


def _gather(block: Block) -> GroupedQuery:
    tree = block.tree
    group = tree.args.get("group")
    keys = tuple(_unparen(k) for k in (group.expressions if group is not None else []))
    if any(has_clock(k) for k in keys):
        raise NoFormError("the clock is a quantity in a grouping key")
    if any(k.find(exp.Window) for k in keys):
        raise NoFormError("a window function is a grouping key")
    gatherer = AggregateGatherer(
        block.window, {k: f"key{i}" for i, k in enumerate(keys)}, "fb_group"
    )
    items = {s.alias_or_name: gatherer.take(s.unalias()) for s in tree.selects}
    having = tree.args.get("having")
    test = gatherer.take(having.this) if having is not None else None
    qualify = tree.args.get("qualify")
    if qualify is not None:
        tree.set("qualify", exp.Qualify(this=gatherer.take(qualify.this)))
    for node in [*items.values(), *([test] if test is not None else [])]:
        if any(c.table != "fb_group" for c in node.find_all(exp.Column)):
            raise NoFormError("a column stands outside aggregates and keys")
    return GroupedQuery(block, keys, items, tuple(gatherer.aggregates.values()), test)


def _groups_as_block(grouped: GroupedQuery) -> Block:
    """Derive the groups, then the rest of the SELECT over them."""
    block = grouped.block
    names = {f"key{i}": k for i, k in enumerate(grouped.keys)}
    form = IntervalForm(
        source=block.source,
        keys=grouped.keys,
        columns={c.name: exp.column(c.name, quoted=True) for c in grouped.aggregates},
        window=block.window,
        aggregates=grouped.aggregates,
        grouped=True,
    )
    relation = step_groups(block.ctes, form, names)
    tree = block.tree
    tree.set("group", None)
    tree.set("having", None)
    tree.set(
        "expressions",
        [select_item(node.copy(), name) for name, node in grouped.items.items()],
    )
    made = Block(block.ctes, tree, block.names)
    made.add_relation(relation, "fb_group")
    if grouped.having is not None:
        tree.set("where", exp.Where(this=grouped.having.copy()))
    made.take_where()
    if made.tree.args.get("where") is not None:
        split_clock(made)
        made.take_where()
    return made


def _distinct(row_query: RowQuery) -> RowQuery:
    block = row_query.block
    if block.tree.args["distinct"].args.get("on"):
        raise NoFormError("the query has DISTINCT ON")
    sql = physical(block.ctes.draft, block.source, block.window, row_query.items)
    rows = block.ctes.add("repeated", sql)
    name = block.ctes.add("distinct", islands_sql(f'"{rows}"', list(row_query.items)))
    relation = IntervalRelation(name, tuple(row_query.items), unique=frozenset(row_query.items))
    return _over(block, relation, row_query.items)


def _over(block: Block, relation: IntervalRelation, items: Mapping[str, exp.Expr]) -> RowQuery:
    made = Block(block.ctes, exp.Select(), block.names)
    made.add_relation(relation, "fb_rows")
    return RowQuery(made, {n: _column(n, "fb_rows", node) for n, node in items.items()})


def _column(name: str, table: str, like: exp.Expr) -> exp.Column:
    column = exp.column(name, table=table, quoted=True)
    column.type = like.type
    return column


def _derive_set(ctes: CteBuilder, query: exp.SetOperation, names: Names) -> IntervalRelation:
    if query.args.get("limit") or query.args.get("by_name") or query.args.get("offset"):
        raise NoFormError("a set operation with LIMIT or BY NAME")
    left = derive_intervals(ctes, query.this, names)
    right = derive_intervals(ctes, _named(query.expression, left.columns), names)
    columns = left.columns
    distinct = bool(query.args.get("distinct"))
    if isinstance(query, exp.Union):
        same = ", ".join(
            f'"{mine}" as "{name}"' for mine, name in zip(right.columns, columns, strict=True)
        )
        sql = (
            f'select {listed(columns)}{START}, {END} from "{left.name}" union all '
            f'select {same}, {START}, {END} from "{right.name}"'
        )
        name = ctes.add("union", sql)
        if not distinct:
            never_ends = left.never_ends and right.never_ends
            return IntervalRelation(name, columns, never_ends, left.static and right.static)
    elif not distinct:
        raise NoFormError(f"{query.key.upper()} ALL counts rows")
    else:
        name = _overlap(ctes, query, left, right)
    return IntervalRelation(
        ctes.add("distinct", islands_sql(f'"{name}"', columns)), columns, unique=frozenset(columns)
    )


def _named(query: exp.Expr, names: Sequence[str]) -> exp.Expr:
    """The query with its columns under other names: two of its own may be the same."""
    first: exp.Expr = query
    while isinstance(first, (exp.Subquery, exp.SetOperation)):
        first = first.this
    if not isinstance(first, exp.Select) or len(set(first.named_selects)) == len(names):
        return query
    items = [
        select_item(item.unalias(), name) for item, name in zip(first.selects, names, strict=True)
    ]
    first.set("expressions", items)
    return query


def _overlap(
    ctes: CteBuilder, query: exp.SetOperation, left: IntervalRelation, right: IntervalRelation
) -> str:
    """EXCEPT and INTERSECT: a semi or anti join on all columns, nulls being equal."""
    block = Block(ctes, exp.Select(), {})
    block.add_relation(left, "mine")
    block.tree = exp.Select(
        expressions=[
            exp.alias_(exp.column(c, table="mine", quoted=True), c, quoted=True)
            for c in left.columns
        ]
    )
    on = [
        exp.NullSafeEQ(
            this=exp.column(mine, table="mine", quoted=True),
            expression=exp.column(theirs, table="theirs", quoted=True),
        )
        for mine, theirs in zip(left.columns, right.columns, strict=True)
    ]
    theirs = Right(right.name, "theirs", right.columns)
    semi_join(block, theirs, on, negated=isinstance(query, exp.Except))
    items = {s.alias_or_name: s.unalias() for s in block.tree.selects}
    return ctes.add("overlap", physical(ctes.draft, block.source, block.window, items))


def _appended(block: Block, items: Mapping[str, exp.Expr]) -> str | None:
    if block.appended is None or not block.window.never_ends:
        return None
    return next((n for n, node in items.items() if node == block.appended), None)


def _unparen(node: exp.Expr) -> exp.Expr:
    return node.this if isinstance(node, exp.Paren) else node
