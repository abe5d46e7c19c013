"""Trace columns through an expression: which its value is computed from, and which decide it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from sqlglot import exp

from feature_specs.compile.normalize.order_totally import TIE
from feature_specs.compile.sql.aggregate_calls import function_of
from feature_specs.compile.sql.duckdb_functions import AGGREGATES
from lineage.effects import NOTHING, Effect, Effects, followed_by, together

_MADE = Effect("TRANSFORMATION")
_HASHED = Effect("TRANSFORMATION", masking=True)
_SUMMED = Effect("AGGREGATION")
_COUNTED = Effect("AGGREGATION", masking=True)
_CHOSEN = Effect("CONDITIONAL")
FILTERED = Effect("FILTER")
SORTED = Effect("SORT")
TIED = Effect("SORT", tie=True)
_WINDOWED = Effect("WINDOW")

_COUNTS = (exp.Count, exp.CountIf, exp.ApproxDistinct, exp.RegrCount)
_COUNT_NAMES = frozenset({"approx_count_distinct", "regr_count", "count_star"})
#: SQLGlot counts these among the aggregates; each takes the value of one row.
_OF_ONE_ROW = (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue)
_HASHES = (exp.MD5, exp.MD5Digest, exp.SHA, exp.SHA2)
_HASH_NAMES = frozenset(
    {"hash", "md5_number", "md5_number_lower", "md5_number_upper", "sha1", "sha256"}
)


class Reader(Protocol):
    """What an expression reads: columns of the query that it stands in, and queries inside it."""

    def column(self, node: exp.Column) -> Effects:
        """What reaches a column."""
        ...

    def subquery(self, node: exp.Expr, *, exists: bool) -> Effects:
        """What reaches the values of a query in the expression, or whether it has a row."""
        ...


def follow_value(node: object, reader: Reader) -> Effects:
    """What reaches the value of an expression."""
    if not isinstance(node, exp.Expr):
        return NOTHING
    if isinstance(node, exp.Column):
        return reader.column(node)
    if isinstance(node, (exp.Subquery, exp.Query)):
        return reader.subquery(node, exists=False)
    if isinstance(node, (exp.Alias, exp.Paren)):
        return follow_value(node.this, reader)
    special = next((f for kind, f in _SPECIAL.items() if isinstance(node, kind)), None)
    if special is not None:
        return special(node, reader)
    return followed_by(_children(node, reader), _effect_of_call(node))


def _children(node: exp.Expr, reader: Reader) -> Effects:
    return together(follow_value(part, reader) for part in _parts(node))


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    for value in node.args.values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, exp.Expr):
                yield part


def _effect_of_call(node: exp.Expr) -> Effect:
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    if isinstance(node, _COUNTS) or name in _COUNT_NAMES:
        return _COUNTED
    if isinstance(node, _OF_ONE_ROW):
        return _MADE
    if isinstance(node, exp.AggFunc) or name in AGGREGATES:
        return _SUMMED
    return _HASHED if isinstance(node, _HASHES) or name in _HASH_NAMES else _MADE


def _exists(node: exp.Expr, reader: Reader) -> Effects:
    if isinstance(node.this, exp.Query):
        return reader.subquery(node.this, exists=True)
    return followed_by(_children(node, reader), _MADE)


def _case(node: exp.Expr, reader: Reader) -> Effects:
    branches = node.args.get("ifs") or []
    tests = [node.this, *(branch.this for branch in branches)]
    values = [*(branch.args.get("true") for branch in branches), node.args.get("default")]
    return _choice(tests, values, reader)


def _if(node: exp.Expr, reader: Reader) -> Effects:
    return _choice([node.this], [node.args.get("true"), node.args.get("false")], reader)


def _choice(tests: list[object], values: list[object], reader: Reader) -> Effects:
    decides = [followed_by(follow_value(t, reader), _CHOSEN) for t in tests]
    return together([*decides, *(followed_by(follow_value(v, reader), _MADE) for v in values)])


def _window(node: exp.Expr, reader: Reader) -> Effects:
    value = follow_value(node.this, reader)
    if isinstance(function_of(node.this), exp.Column):
        value = followed_by(value, _MADE)
    around = [p for key, p in _named_parts(node) if key != "this"]
    return together([value, *(followed_by(_order(p, reader), _WINDOWED) for p in around)])


def _named_parts(node: exp.Expr) -> Iterator[tuple[str, exp.Expr]]:
    for key, value in node.args.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, exp.Expr):
                yield key, part


def _order(node: exp.Expr, reader: Reader) -> Effects:
    """The terms of an order; those that the compiler added decide ties alone."""
    if not isinstance(node, exp.Order):
        return follow_value(node, reader)
    return together(follow_order(node, reader))


def follow_order(node: exp.Expr, reader: Reader) -> Iterator[Effects]:
    """What reaches each term of an ORDER BY."""
    for term in node.expressions:
        found = follow_value(term.this if isinstance(term, exp.Ordered) else term, reader)
        yield followed_by(found, TIED if term.meta.get(TIE) else SORTED)


def _ordered_value(node: exp.Expr, reader: Reader) -> Effects:
    """A value of an aggregate with an order of its own: ``list(x order by ts)``."""
    return together([follow_value(node.this, reader), *follow_order(node, reader)])


def _filter(node: exp.Expr, reader: Reader) -> Effects:
    test = followed_by(follow_value(node.expression, reader), FILTERED)
    return together([follow_value(node.this, reader), test])


def _extreme(node: exp.Expr, reader: Reader) -> Effects:
    """``arg_max(x, ts)``: x is taken, ts says of which row."""
    taken = followed_by(follow_value(node.this, reader), _SUMMED)
    out = [taken]
    for key, place in _named_parts(node):
        if key == "expression" and place.meta.get(TIE):
            # The compiler's ``case when ts is not null then row(ts, x) end``: x settles ties.
            ts, x = place.args["ifs"][0].args["true"].expressions
            out.append(followed_by(follow_value(ts, reader), SORTED))
            out.append(followed_by(follow_value(x, reader), TIED))
        elif key != "this":
            out.append(followed_by(follow_value(place, reader), SORTED))
    return together(out)


def _within_group(node: exp.Expr, reader: Reader) -> Effects:
    """``percentile_cont(0.5) within group (order by x)``: x is what is summed up."""
    terms = [t.this for t in node.find_all(exp.Ordered)] or [node.expression]
    values = [follow_value(node.this, reader), *(follow_value(t, reader) for t in terms)]
    return followed_by(together(values), _SUMMED)


def _lambda(node: exp.Expr, reader: Reader) -> Effects:
    named = {e.name for e in node.expressions}
    inside = _WithoutColumns(reader, named)
    return followed_by(follow_value(node.this, inside), _MADE)


class _WithoutColumns:
    """A reader inside a lambda, whose parameters are not columns."""

    def __init__(self, outer: Reader, parameters: set[str]) -> None:
        self.outer, self.parameters = outer, parameters

    def column(self, node: exp.Column) -> Effects:
        if not node.table and node.name in self.parameters:
            return NOTHING
        return self.outer.column(node)

    def subquery(self, node: exp.Expr, *, exists: bool) -> Effects:
        return self.outer.subquery(node, exists=exists)


_SPECIAL: Mapping[type[exp.Expr], Callable[[exp.Expr, Reader], Effects]] = {
    exp.Exists: _exists,
    exp.Case: _case,
    exp.If: _if,
    exp.Window: _window,
    exp.Filter: _filter,
    exp.ArgMax: _extreme,
    exp.ArgMin: _extreme,
    exp.WithinGroup: _within_group,
    exp.Order: _ordered_value,
    exp.Lambda: _lambda,
}
