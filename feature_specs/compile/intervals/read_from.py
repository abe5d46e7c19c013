"""Read FROM and its joins: leaves, CTEs and subqueries become one source of interval rows."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlglot import exp

from feature_specs.compile.intervals.block import Block, Names
from feature_specs.compile.intervals.interval_relation import (
    CteBuilder,
    IntervalRelation,
    NoFormError,
    physical,
)
from feature_specs.compile.intervals.join_rows import (
    Right,
    asof_join,
    matches_at_most_once,
    outer_join,
    semi_join,
)
from feature_specs.compile.intervals.leaf_lifetimes import (
    derive_changelog,
    derive_pieces,
    never_seen,
    row_tests,
    splits_of,
)
from feature_specs.compile.leaves.leaf_tables import leaf_table
from feature_specs.compile.leaves.leaf_window import leaf_window
from feature_specs.compile.normalize.order_totally import ASOF_RIGHT
from feature_specs.compile.sql.aggregate_calls import has_aggregates
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.leaf import Leaf

Derive = Callable[[CteBuilder, exp.Expr, Names], IntervalRelation]


def read_from(block: Block, derive: Derive) -> None:
    """Take FROM and the joins into the block's source, in their order.

    Args:
        derive: makes a query inside FROM rows with lifetimes.
    """
    tree = block.tree
    start = tree.args.get("from_")
    if start is None:
        _check_constants(tree)
        return
    joins = tree.args.get("joins") or []
    tree.set("from_", None)
    tree.set("joins", None)
    # The SELECT still speaks of what the joins to come read.
    tree.set("pending", [exp.Tuple(expressions=_pending(j)) for j in joins])
    _add(block, start.this, derive, first=True)
    for join in joins:
        on = block.tree.args["pending"].pop(0).expressions
        if isinstance(join.this, exp.Lateral):
            join.set("this", on.pop(0))
        _join(block, join, on, derive)
    block.tree.set("pending", None)


def _pending(join: exp.Join) -> list[exp.Expr]:
    """What a join to come reads of the tables before it."""
    lateral = [join.this.copy()] if isinstance(join.this, exp.Lateral) else []
    return [*lateral, *conjuncts(join.args.get("on"))]


def _check_constants(tree: exp.Select) -> None:
    """Raises NoFormError unless the rows of a SELECT without FROM depend on nothing."""
    rest = ("where", "group", "having", "qualify", "distinct")
    inner = [n for n in tree.find_all(exp.Query, exp.Column, exp.Window) if n is not tree]
    if inner or has_aggregates(tree) or any(tree.args.get(k) for k in rest):
        raise NoFormError("the query reads no table")


def _join(block: Block, join: exp.Join, on: list[exp.Expr], derive: Derive) -> None:
    method = str(join.args.get("method") or "").upper()
    side, kind = join.side.upper(), join.kind.upper()
    if join.args.get("using"):
        raise NoFormError("a join by USING")
    if method == "ASOF":
        right_node = join.this.meta.get(ASOF_RIGHT, join.this)
        # All columns, since rows of one place in the order are told apart by all.
        columns = join.this.this.named_selects if right_node is not join.this else ()
        right = _right(block, right_node, join.this.alias_or_name, derive, on, columns)
        asof_join(block, right, on, keep_left=side == "LEFT")
    elif kind in ("SEMI", "ANTI"):
        alias = join.this.alias_or_name
        semi_join(block, _right(block, join.this, alias, derive, on), on, negated=kind == "ANTI")
    elif side == "LEFT":
        _left(block, join, on, derive)
    elif side in ("RIGHT", "FULL"):
        raise NoFormError(f"the query has a {side} join")
    else:
        _inner(block, join, on, derive)


def _inner(block: Block, join: exp.Join, on: list[exp.Expr], derive: Derive) -> None:
    before = block.unique
    alias = join.this.alias_or_name
    if isinstance(join.this, exp.Lateral):
        added = None
        _add_rows_of_row(block, join.this)
    else:
        added = _add(block, join.this, derive, on=on)
    tests = []
    for test in on:
        if test.find(exp.Query):
            raise NoFormError("a subquery stands in ON")
        if not has_clock(test):
            tests.append(test.copy())
        elif not block.keep(test.copy()):
            raise NoFormError(
                f"the clock stands in ON in {duckdb_sql(test)}, which is not a plain bound"
            )
    if tests:
        made = block.source.args["joins"][-1]
        made.set("kind", None)
        made.set("on", exp.and_(*tests))
    if before is not None and matches_at_most_once(Right("", alias, (), added), on):
        block.unique = before


def _add_rows_of_row(block: Block, lateral: exp.Lateral) -> None:
    """Put beside each row what is computed from it alone: such rows live as long as it does."""
    query = lateral.this.this if isinstance(lateral.this, exp.Subquery) else None
    named = {t.alias_or_name for t in lateral.find_all(exp.Table)}
    tables = [t for t in lateral.find_all(exp.Table) if isinstance(t.this, exp.Identifier)]
    if not isinstance(query, exp.Select) or tables or lateral.args["alias"].columns:
        raise NoFormError("a lateral query reads a table")
    if has_clock(lateral) or not block.reads_only(query, {*block.columns, *named}):
        raise NoFormError("a lateral query reads more than the row beside it")
    alias = lateral.alias_or_name
    if alias in block.columns:
        raise NoFormError(f"two tables go by the name {alias}")
    block.add_table(lateral, alias, tuple(query.named_selects))
    block.add_unique(alias, None)
    block.appended = None


def _left(block: Block, join: exp.Join, on: list[exp.Expr], derive: Derive) -> None:
    alias = join.this.alias_or_name
    leaf = _leaf_of(block, join.this)
    plain = leaf is not None and leaf.role == "static" and not leaf.known_later
    if plain and not any(has_clock(t) or t.find(exp.Query) for t in on):
        assert leaf is not None
        table = leaf_table(leaf)
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        block.take_where()
        joined = exp.Join(this=table, side="LEFT", on=exp.and_(*(t.copy() for t in on)))
        block.source.append("joins", joined)
        block.columns[alias] = tuple(leaf.columns)
        block.unique = None
        return
    if any(t.find(exp.Query) for t in on):
        raise NoFormError("a subquery stands in ON")
    block.take_where()
    outer_join(block, _right(block, join.this, alias, derive, on), on)


def _right(
    block: Block,
    node: exp.Expr,
    alias: str,
    derive: Derive,
    on: list[exp.Expr],
    columns: Collection[str] = (),
) -> Right:
    """Settle the right side of a join by itself.

    Args:
        columns: those to hand on first, beside what the SELECT speaks of.
    """
    used = dict.fromkeys([*columns, *block.used(alias), *_columns(on, alias)])
    select = exp.Select(
        expressions=[
            exp.alias_(exp.column(c, table=alias, quoted=True), c, quoted=True) for c in used
        ]
        or [exp.alias_(exp.Literal.number(1), "fb_one")]
    )
    inner = Block(block.ctes, select, block.names)
    table = node.copy()
    table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    _add(inner, table, derive, first=True)
    items = {s.alias_or_name: s.unalias() for s in inner.tree.selects}
    sql = physical(block.ctes.draft, inner.source, inner.window, items)
    unique = inner.unique
    named = {c for _, c in unique} if unique is not None else None
    proved = frozenset(named) if named is not None and named <= items.keys() else None
    return Right(block.ctes.add("right", sql), alias, tuple(items), proved)


def _columns(tests: list[exp.Expr], alias: str) -> list[str]:
    return [c.name for t in tests for c in t.find_all(exp.Column) if c.table == alias]


def _leaf_of(block: Block, node: exp.Expr) -> Leaf | None:
    if not isinstance(node, exp.Table) or node.name in block.names:
        return None
    return block.ctes.draft.leaves.get(node.name)


def _add(
    block: Block,
    node: exp.Expr,
    derive: Derive,
    *,
    first: bool = False,
    on: list[exp.Expr] | None = None,
) -> frozenset[str] | None:
    """Put one thing of FROM into the source; returns what tells its rows apart, if proved."""
    alias = node.alias_or_name
    if alias in block.columns:
        raise NoFormError(f"two tables go by the name {alias}")
    if isinstance(node, exp.Table):
        if not isinstance(node.this, exp.Identifier):
            raise NoFormError(f"{duckdb_sql(node.this)} stands in FROM")
        if node.args.get("sample") or node.args.get("joins") or node.args.get("pivots"):
            raise NoFormError("a table with modifiers")
        if node.name in block.names:
            relation = block.names[node.name]()
            block.add_relation(relation, alias)
            return relation.unique
        leaf = block.ctes.draft.leaves.get(node.name)
        if leaf is None:
            raise NoFormError(f"{node.name} is not a known table")
        return _add_leaf(block, leaf, alias, first=first, also=_columns(on or [], alias))
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
        if node.args.get("joins") or node.args.get("pivots") or node.args.get("sample"):
            raise NoFormError("a subquery with modifiers")
        relation = derive(block.ctes, node.this, block.names)
        block.add_relation(relation, alias)
        return relation.unique
    raise NoFormError(f"a {node.key} stands in FROM")


def _add_leaf(
    block: Block, leaf: Leaf, alias: str, *, first: bool, also: list[str]
) -> frozenset[str] | None:
    draft = block.ctes.draft
    used = [c for c in dict.fromkeys([*block.used(alias), *also]) if c in leaf.columns]
    if leaf.changelog is not None or splits_of(draft, leaf, used):
        make = derive_pieces if leaf.changelog is None else derive_changelog
        relation = make(block.ctes, leaf, used or list(leaf.columns)[:1])
        block.add_relation(relation, alias)
        return relation.unique
    window = leaf_window(draft, leaf, alias)
    block.add_table(leaf_table(leaf), alias, tuple(leaf.columns))
    block.window = block.window.clip(window)
    block.add_unique(alias, None)
    block.appended = None
    for test in row_tests(leaf, alias):
        block.source = block.source.where(test, copy=False)
    if first and len(window.starts) == 1 and window.never_ends:
        instant = window.starts[0].instant
        if isinstance(instant, exp.Column):
            block.appended = exp.column(instant.name, table=alias, quoted=True)
    for column in used:
        if never_seen(leaf, column):
            null = exp.cast(exp.Null(), leaf.columns[column], dialect=DUCKDB)
            block.substitute(alias, column, null)
    return None
