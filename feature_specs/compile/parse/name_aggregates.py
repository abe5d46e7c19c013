"""Write aggregates under the names and in the forms that SQLGlot recognises."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.sql.duckdb_functions import UNKNOWN_AGGREGATES
from feature_specs.counted import counted
from feature_specs.errors import CompileError


def _weighted(values: list[exp.Expr]) -> exp.Expr:
    """weighted_avg(value, weight), which is a macro in DuckDB, and so takes no FILTER there."""
    value, weight = (exp.paren(v) for v in values)
    weights = exp.case().when(exp.Is(this=value.copy(), expression=exp.Null()), "0").else_(weight)
    share = exp.Div(
        this=exp.Sum(this=exp.Mul(this=value, expression=weight.copy())),
        expression=exp.Sum(this=weights),
        typed=False,
        safe=False,
    )
    return exp.Paren(this=share)


#: With how many arguments each takes.
_ALIASES: dict[str, tuple[int, Callable[[list[exp.Expr]], exp.Expr]]] = {
    "mean": (1, lambda values: exp.Avg(this=values[0])),
    "weighted_avg": (2, _weighted),
    "wavg": (2, _weighted),
    "count_star": (0, lambda _: exp.Count(this=exp.Star(), big_int=True)),
}

#: DuckDB's name, and a second argument of other dialects', which would be dropped where DuckDB
#: refuses it.
_DROPPED: dict[type[exp.Expr], tuple[str, str]] = {
    exp.CountIf: ("count_if", "zero_on_all_null"),
    exp.ApproxDistinct: ("approx_count_distinct", "accuracy"),
    exp.ArrayAgg: ("list", "nulls_excluded"),
    exp.Mode: ("mode", "deterministic"),
    exp.First: ("first", "expression"),
    exp.Last: ("last", "expression"),
}


def name_aggregates(query: exp.Query, text: AuthorText) -> exp.Query:
    """Rename aggregates, in place: mean() is AVG, count() is COUNT(*), and others are marked as aggregates.

    Raises:
        CompileError: one has more arguments than DuckDB's has, or fewer.

    >>> show(name_aggregates, "select k, mean(x) as m, count() as n from events group by k")
    SELECT k, AVG(x) AS m, COUNT(*) AS n FROM events GROUP BY k
    """
    for node in query.find_all(exp.Anonymous, *_DROPPED):
        _check_arguments(node, text)
    named = query.transform(_named, copy=False)
    assert isinstance(named, exp.Query)
    return named


def _named(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Count) and node.this is None:
        node.set("this", exp.Star())
    if isinstance(node, exp.WithinGroup) and isinstance(node.this, exp.Mode) and not node.this.this:
        (order,) = node.expression.expressions
        return exp.Mode(this=exp.Order(this=order.this.copy(), expressions=[order]))
    if isinstance(node, exp.Anonymous) and node.name.lower() in _ALIASES:
        made = _ALIASES[node.name.lower()][1](node.expressions)
        made._meta = node._meta
        return made
    if isinstance(node, exp.Anonymous) and node.name.lower() in UNKNOWN_AGGREGATES:
        made = exp.AnonymousAggFunc(this=node.name.lower(), expressions=node.expressions)
        made._meta = node._meta
        return made
    return node


def _check_arguments(node: exp.Expr, text: AuthorText) -> None:
    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in _ALIASES:
            return
        name, (takes, _), given = node.name, _ALIASES[node.name.lower()], len(node.expressions)
    else:
        (name, dropped), takes = _DROPPED[type(node)], 1
        given = takes + (node.args.get(dropped) is not None)
    if given != takes:
        raise CompileError(
            f"{name}() takes {counted(takes, 'argument')}, but is given {given}",
            where=text.at(node.meta.get("line"), node.meta.get("col")),
            hint=f"write it with {takes}, as DuckDB has it",
        )
