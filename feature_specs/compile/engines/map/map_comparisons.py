"""Comparisons of floats: to DuckDB and Spark NaN equals itself and is the greatest; to Trino it is
neither equal to, below nor above anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from feature_specs.compile.engines.map.nodes import (
    call,
    case,
    not_null,
    number,
    paren,
    raw,
    refusal,
)
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of

Handler = Callable[[exp.Expr, str], exp.Expr]


def may_be_nan(node: exp.Expr) -> bool:
    """Whether an expression is a float, and no literal."""
    return kind_of(node) == "float" and not isinstance(node.unnest(), exp.Literal)


def is_nan(node: exp.Expr) -> exp.Expr:
    return call("is_nan", node)


def equal(left: exp.Expr, right: exp.Expr, engine: str) -> exp.Expr:
    """``left = right`` as DuckDB has it."""
    plain = exp.EQ(this=paren(left), expression=paren(right))
    if engine != "trino" or not (may_be_nan(left) and may_be_nan(right)):
        return plain
    return exp.Paren(this=exp.or_(plain, exp.and_(is_nan(left), is_nan(right))))


def _equal(node: exp.Expr, engine: str) -> exp.Expr:
    return equal(node.this, node.expression, engine) if _concerns(node, engine) else node


def _unequal(node: exp.Expr, engine: str) -> exp.Expr:
    if not _concerns(node, engine):
        return node
    return exp.Paren(this=exp.Not(this=equal(node.this, node.expression, engine)))


def _concerns(node: exp.Expr, engine: str) -> bool:
    return engine == "trino" and (may_be_nan(node.this) or may_be_nan(node.expression))


def _order(node: exp.Expr, engine: str) -> exp.Expr:
    """``a > b`` where a is NaN and b is something else; ``a >= b`` where a is NaN and b is not null."""
    greater, less = node.this, node.expression
    if isinstance(node, (exp.LT, exp.LTE)):
        greater, less = less, greater
    if engine != "trino" or not may_be_nan(greater):
        return node
    other = not_null(less)
    if isinstance(node, (exp.GT, exp.LT)) and may_be_nan(less):
        other = exp.Not(this=is_nan(less))
    plain = node.copy()
    return exp.Paren(this=exp.or_(exp.Paren(this=plain), exp.and_(is_nan(greater), other)))


def _between(node: exp.Expr, engine: str) -> exp.Expr:
    """Both halves are written out where a side may be NaN."""
    value, low, high = node.this, node.args["low"], node.args["high"]
    if engine != "trino" or not any(map(may_be_nan, (value, low, high))):
        return node
    above = _order(exp.GTE(this=paren(value), expression=paren(low)), engine)
    below = _order(exp.LTE(this=paren(value), expression=paren(high)), engine)
    return exp.Paren(this=exp.and_(above, below))


def _nullif(node: exp.Expr, engine: str) -> exp.Expr:
    if not _concerns(node, engine):
        return node
    same = equal(node.this, node.expression, engine)
    return case((same, exp.null()), default=node.this)


def _case(node: exp.Expr, engine: str) -> exp.Expr:
    """``case x when y`` as ``case when x = y``, which Trino takes for true where x is null and is y."""
    value = node.this
    if engine != "trino" or not isinstance(value, exp.Expr):
        return node
    made = node.copy()
    made.set("this", None)
    for branch in made.args["ifs"]:
        branch.set("this", equal(value, branch.this, engine))
    return made


def _in(node: exp.Expr, engine: str) -> exp.Expr:
    """``(a, b) in (select (a, b) ...)`` selects columns elsewhere, not a row."""
    query = node.args.get("query")
    if query is not None and engine == "trino" and may_be_nan(node.this):
        raise refusal(
            f"{node.this.sql('duckdb')} in a subquery, which may be NaN,", engine,
            "write exists (select 1 from ... where x = y)",
        )  # fmt: skip
    select = query.this if isinstance(query, exp.Subquery) else query
    if isinstance(select, exp.Select) and len(select.expressions) == 1:
        (item,) = select.expressions
        if isinstance(item, exp.Tuple):
            select.set("expressions", [e.copy() for e in item.expressions])
        elif isinstance(item, exp.Paren):
            select.set("expressions", [item.this.copy()])
    return node


def greatest_with_nan(arguments: list[exp.Expr], plain: exp.Expr) -> exp.Expr:
    """greatest(): the first NaN, else what Trino says."""
    floats = [a for a in arguments if may_be_nan(a)]
    if not floats:
        return plain
    return case(*((is_nan(a), a) for a in floats), default=plain)


def sort_key(node: exp.Expr) -> exp.Expr:
    """What max_by() and min_by() compare, so that NaN is the greatest."""
    if isinstance(node, exp.Case) and len(node.args["ifs"]) == 1 and not node.args.get("default"):
        made = node.copy()
        branch = made.args["ifs"][0]
        branch.set("true", sort_key(branch.args["true"]))
        return made
    values = list(node.expressions) if _is_row(node) else [node]
    if not any(map(may_be_nan, values)):
        return node
    keys: list[exp.Expr] = []
    for value in values:
        if may_be_nan(value):
            keys += [is_nan(value), case((is_nan(value), number(0)), default=value)]
        else:
            keys.append(value)
    row = call("ROW", *keys)
    return row if _is_row(node) else case((not_null(node), row))


def _is_row(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "row"


NAN = raw("nan()")

COMPARISONS: Mapping[type[exp.Expr] | str, Handler] = {
    exp.EQ: _equal, exp.NEQ: _unequal, exp.GT: _order, exp.GTE: _order, exp.LT: _order,
    exp.LTE: _order, exp.Between: _between, exp.Nullif: _nullif, exp.Case: _case, exp.In: _in,
}  # fmt: skip
