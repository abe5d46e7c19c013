"""Subqueries outside FROM: EXISTS and IN as conditions, and single values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.intervals.block import Block, Names
from feature_specs.compile.intervals.interval_relation import (
    CteBuilder,
    IntervalRelation,
    NoFormError,
)
from feature_specs.compile.intervals.join_rows import Right, correlated_aggregate, semi_join
from feature_specs.compile.intervals.read_from import read_from
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.conjuncts import conjuncts

Derive = Callable[[CteBuilder, exp.Expr, Names], IntervalRelation]

#: What makes the rows of a subquery depend on one another, so that a test cannot move outside it.
_WHOLE = ("group", "having", "qualify", "limit", "offset")


def read_subqueries(block: Block, derive: Derive) -> None:
    """Replace every subquery of WHERE and of the select list by what it says of the outer row.

    Raises:
        NoFormError: a subquery is of another kind, or stands in a query that aggregates.
    """
    _conditions(block, derive)
    where = block.tree.args.get("where")
    grouped = block.tree.args.get("group") is not None
    roots = [*conjuncts(where), *block.tree.selects]
    for number, node in enumerate([q for r in roots for q in _values(r)]):
        if grouped and not _inside(node, where):
            raise NoFormError("a subquery stands beside aggregates")
        _value(block, node, f"scalar{number}", derive)
    if any(r.find(exp.Query) for r in block.expressions()):
        raise NoFormError("a subquery of a kind that has no interval form")


def _conditions(block: Block, derive: Derive) -> None:
    while True:
        where = block.tree.args.get("where")
        tests = list(conjuncts(where))
        chosen = next((t for t in tests if _membership(t) is not None), None)
        if chosen is None:
            return
        found = _membership(chosen)
        assert found is not None
        kept = [t for t in tests if t is not chosen]
        block.tree.set(
            "where", exp.Where(this=exp.and_(*(t.copy() for t in kept))) if kept else None
        )
        right, on = _matches(
            block, found.query, derive, needles=found.needles, negated=found.negated
        )
        block.take_where()
        semi_join(block, right, on, negated=found.negated)


@dataclass(frozen=True)
class _Membership:
    """EXISTS (query), or needles IN (query), or its negation."""

    query: exp.Query
    needles: tuple[exp.Expr, ...]
    negated: bool


def _membership(test: exp.Expr, *, negated: bool = False) -> _Membership | None:
    if isinstance(test, exp.Paren):
        return _membership(test.this, negated=negated)
    if isinstance(test, exp.Not):
        return _membership(test.this, negated=not negated)
    if isinstance(test, exp.Exists):
        query = test.this
        while isinstance(query, (exp.Subquery, exp.Paren)):
            query = query.this
        return _Membership(query, (), negated) if isinstance(query, exp.Query) else None
    if isinstance(test, exp.In) and test.args.get("query") is not None:
        query = test.args["query"]
        while isinstance(query, (exp.Subquery, exp.Paren)):
            query = query.this
        needle = test.this
        needles = needle.expressions if isinstance(needle, exp.Tuple) else [needle]
        if isinstance(query, exp.Query) and not any(n.find(exp.Query) for n in needles):
            return _Membership(query, tuple(needles), negated)
    return None


def _matches(
    block: Block,
    query: exp.Query,
    derive: Derive,
    *,
    needles: tuple[exp.Expr, ...] = (),
    negated: bool = False,
) -> tuple[Right, list[exp.Expr]]:
    """The rows of a subquery by themselves, and the conditions that tie them to the outer row."""
    alias = f"fb_q{len(block.ctes.made)}"
    on: list[exp.Expr] = []
    if _is_whole(query):
        if any(c.table in block.columns for c in query.find_all(exp.Column)):
            raise NoFormError("a subquery that aggregates or ranks reads the outer row")
        relation = derive(block.ctes, query, block.names)
        outputs: list[exp.Expr] = [
            exp.column(c, table=alias, quoted=True) for c in relation.columns
        ]
        right = Right(relation.name, alias, relation.columns, relation.unique)
    else:
        assert isinstance(query, exp.Select)
        right, on, outputs = _rows(block, query, alias, derive)
    for needle, output in zip(needles, outputs, strict=False):
        equal: exp.Expr = exp.EQ(this=needle.copy(), expression=output.copy())
        if negated:
            # NOT IN is no match, and not unknown either: a null on a side counts as a match.
            unknown = [exp.Is(this=n.copy(), expression=exp.Null()) for n in (needle, output)]
            equal = exp.paren(exp.or_(equal, *unknown))
        on.append(equal)
    return right, on


def _is_whole(query: exp.Query) -> bool:
    if not isinstance(query, exp.Select):
        return True
    if any(query.args.get(k) for k in _WHOLE) or query.args.get("with_"):
        return True
    return any(s.find(exp.AggFunc, exp.Window) for s in query.selects)


def _rows(
    block: Block, query: exp.Select, alias: str, derive: Derive
) -> tuple[Right, list[exp.Expr], list[exp.Expr]]:
    """The rows alone, the conditions on the outer row, and the select items, over ``alias``."""
    tree = query.copy()
    tree.set("distinct", None)
    tree.set("order", None)
    items = [s.unalias() for s in tree.selects]
    tests = list(conjuncts(tree.args.get("where")))
    tree.set("where", None)
    outer = set(block.columns)
    tied = [t for t in tests if any(c.table in outer for c in t.find_all(exp.Column))]
    free = [t for t in tests if not any(c.table in outer for c in t.find_all(exp.Column))]
    count = len(items)
    tree.set("expressions", [*(i.copy() for i in items), *(t.copy() for t in tied)])
    tree.set("where", exp.Where(this=exp.and_(*(t.copy() for t in free))) if free else None)
    inner = Block(block.ctes, tree, block.names)
    read_from(inner, derive)
    inner.take_where()
    _conditions(inner, derive)
    inner.take_where()
    if inner.tree.args.get("where") is not None:
        raise NoFormError("a condition of a subquery cannot be placed")
    inner.materialize("matches")
    name = inner.source.find(exp.Table)
    assert name is not None
    held = inner.columns[inner.materialized]

    def moved(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table == inner.materialized:
            column = exp.column(node.name, table=alias, quoted=True)
            column.type = node.type
            return column
        return node

    expressions = [e.transform(moved) for e in inner.tree.expressions]
    if any(c.table != alias for e in expressions[:count] for c in e.find_all(exp.Column)) or any(
        e.find(exp.Query) for e in expressions
    ):
        raise NoFormError("a subquery hands on a column of the outer row")
    unique = inner.unique
    right = Right(
        name.name, alias, held, frozenset(c for _, c in unique) if unique is not None else None
    )
    return right, expressions[count:], expressions[:count]


def _values(root: exp.Expr) -> Iterator[exp.Expr]:
    """The outermost subqueries that stand for a value, EXISTS and IN among them."""
    for node in root.walk(prune=lambda n: isinstance(n, (exp.Subquery, exp.Exists, exp.Query))):
        if isinstance(node, (exp.Subquery, exp.Exists)) or (
            isinstance(node, exp.In) and node.args.get("query") is not None
        ):
            yield node


def _inside(node: exp.Expr, ancestor: exp.Expr | None) -> bool:
    while node.parent is not None:
        if node is ancestor:
            return True
        node = node.parent
    return node is ancestor


def _value(block: Block, node: exp.Expr, marker: str, derive: Derive) -> None:
    if isinstance(node, exp.In):
        raise NoFormError("IN (subquery) stands where its value is used")
    query = node.this
    while isinstance(query, (exp.Subquery, exp.Paren)):
        query = query.this
    if not isinstance(query, exp.Select) or query.args.get("with_"):
        raise NoFormError("a scalar subquery that is not a plain SELECT")
    value = _aggregate_of(node, query)
    plain = query.copy()
    for part in ("order", "limit", "expressions"):
        plain.set(part, None)
    column = exp.column(marker, table="fb_scalar", quoted=True)
    column.type = value.type
    node.replace(
        column
        if not isinstance(node, exp.Exists)
        else exp.GT(this=column, expression=exp.Literal.number(0))
    )
    arguments = tuple(dict.fromkeys(value.find_all(exp.Column)))
    plain.set("expressions", [a.copy() for a in arguments] or [exp.Literal.number(1)])
    if has_clock(value):
        raise NoFormError("the clock stands in a scalar subquery")
    right, on = _matches_of(block, plain, derive, arguments)
    block.take_where()
    correlated_aggregate(block, right.right, on, right.over(value), marker)


@dataclass(frozen=True)
class _Arguments:
    right: Right
    outputs: tuple[exp.Expr, ...]
    arguments: tuple[exp.Expr, ...]

    def over(self, value: exp.Expr) -> exp.Expr:
        """The aggregate over the materialized columns of the subquery."""
        new = dict(zip(self.arguments, self.outputs, strict=True))
        return value.copy().transform(lambda n: new[n].copy() if n in new else n)


def _matches_of(
    block: Block, plain: exp.Select, derive: Derive, arguments: tuple[exp.Expr, ...]
) -> tuple[_Arguments, list[exp.Expr]]:
    alias = f"fb_q{len(block.ctes.made)}"
    right, on, outputs = _rows(block, plain, alias, derive)
    return _Arguments(right, tuple(outputs[: len(arguments)]), arguments), on


def _aggregate_of(node: exp.Expr, query: exp.Select) -> exp.Expr:
    """What the subquery computes of its rows, as an aggregate."""
    if any(query.args.get(k) for k in ("group", "having", "qualify", "offset", "distinct")):
        raise NoFormError("a scalar subquery that groups")
    if isinstance(node, exp.Exists):
        return exp.Count(this=exp.Star())
    (item,) = query.selects if len(query.selects) == 1 else (None,)
    if item is None:
        raise NoFormError("a subquery with several columns")
    value = item.unalias()
    if value.find(exp.Window, exp.Query):
        raise NoFormError("a window function in a scalar subquery")
    limit, order = query.args.get("limit"), query.args.get("order")
    if limit is not None:
        if value.find(exp.AggFunc) or order is None or limit.expression.name != "1":
            raise NoFormError("a scalar subquery with LIMIT")
        keys = [_written_out(o, item.alias, value) for o in order.expressions]
        ordered = exp.First(this=exp.Order(this=value.copy(), expressions=keys))
        ordered.type = value.type
        return ordered
    if not value.find(exp.AggFunc):
        raise NoFormError("a scalar subquery whose single row is not proved")
    return value.copy()


def _written_out(key: exp.Expr, name: str, value: exp.Expr) -> exp.Expr:
    """A key of ORDER BY in which the name of the select item is the item itself."""
    return key.copy().transform(
        lambda n: (
            value.copy() if isinstance(n, exp.Column) and not n.table and n.name == name else n
        )
    )
