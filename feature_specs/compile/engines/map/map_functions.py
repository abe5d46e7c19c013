"""Operators and scalar functions as the engines have them, with DuckDB's nulls and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

from sqlglot import exp

from feature_specs.compile.engines.map.map_comparisons import COMPARISONS, greatest_with_nan
from feature_specs.compile.engines.map.map_numbers import NUMBERS
from feature_specs.compile.engines.map.map_times import TIMES
from feature_specs.compile.engines.map.nodes import (
    call,
    case,
    paren,
    raw,
    refusal,
    to_type,
)
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of

Handler = Callable[[exp.Expr, str], exp.Expr]


def _same(node: exp.Expr, engine: str) -> exp.Expr:
    return node


def _named(trino: str, spark: str | None = None) -> Handler:
    """A function of the same meaning by the engine's own name."""

    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        arguments = [a for a in (node.this, node.args.get("expression")) if isinstance(a, exp.Expr)]
        if isinstance(node, exp.Anonymous):
            arguments = []
        arguments += node.expressions
        return call(trino if engine == "trino" else spark or trino, *arguments)

    return handler


def _extreme(name: str) -> Handler:
    """DuckDB and Spark pass over nulls, Trino gives null."""

    def handler(node: exp.Expr, engine: str) -> exp.Expr:
        arguments = [node.this, *node.expressions]
        if engine == "spark":
            return call(name, *arguments)
        if len(arguments) == 1:
            return paren(arguments[0])
        if len(arguments) == 2:
            plain: exp.Expr = exp.Coalesce(
                this=call(name, *arguments), expressions=[a.copy() for a in arguments]
            )
        else:
            array = exp.Array(expressions=[a.copy() for a in arguments])
            best = "array_max" if name == "greatest" else "array_min"
            plain = call(best, call("filter", array, raw("e -> e is not null")))
        return greatest_with_nan(arguments, plain) if name == "greatest" else plain

    return handler


def _is(node: exp.Expr, engine: str) -> exp.Expr:
    if not isinstance(node.expression, exp.Boolean):
        return node
    value = paren(node.this)
    if not node.expression.this:
        value = exp.Not(this=value)
    return exp.Coalesce(this=value, expressions=[exp.false()])


def _time_zone(node: exp.Expr, engine: str) -> exp.Expr:
    """``current_setting('TimeZone')``: statements look at no other setting."""
    return call("current_timezone")


def _error(node: exp.Expr, engine: str) -> exp.Expr:
    return call("fail" if engine == "trino" else "raise_error", *node.expressions)


def _row(node: exp.Expr, engine: str) -> exp.Expr:
    return call("ROW" if engine == "trino" else "struct", *node.expressions)


def _concat(node: exp.Expr, engine: str) -> exp.Expr:
    """concat() passes over nulls."""
    parts: list[exp.Expr] = [
        exp.Coalesce(this=to_type(e, "VARCHAR"), expressions=[exp.Literal.string("")])
        for e in node.expressions
    ]
    return exp.Paren(this=reduce(lambda a, b: exp.DPipe(this=a, expression=b), parts))


def _text(node: exp.Expr, engine: str) -> exp.Expr:
    """``||`` of texts only: elsewhere it appends to lists."""
    for side in (node.this, node.expression):
        if kind_of(side) not in ("text", "null"):
            raise refusal(
                f"{node.sql('duckdb')} of other than texts", engine, "cast both to varchar"
            )
    return node


def _ilike(node: exp.Expr, engine: str) -> exp.Expr:
    return exp.Like(this=call("lower", node.this), expression=call("lower", node.expression))


def _substring(node: exp.Expr, engine: str) -> exp.Expr:
    start = node.args.get("start")
    if not (isinstance(start, exp.Literal) and int(start.this) >= 1):
        raise refusal("substring from other than a positive literal", engine)
    rest = [a for a in (start, node.args.get("length")) if a is not None]
    return call("substr", node.this, *rest)


def _trim(node: exp.Expr, engine: str) -> exp.Expr:
    if node.args.get("expression") is not None or node.args.get("position"):
        raise refusal("trim of given characters", engine)
    return call("trim", node.this)


def _if(node: exp.Expr, engine: str) -> exp.Expr:
    if isinstance(node.parent, exp.Case):
        return node
    other = node.args.get("false")
    return case((node.this, node.args["true"]), default=other)


def _starts(node: exp.Expr, engine: str) -> exp.Expr:
    return call("starts_with" if engine == "trino" else "startswith", node.this, node.expression)


def _position(node: exp.Expr, engine: str) -> exp.Expr:
    needle = node.args["substr"]
    return call("strpos" if engine == "trino" else "instr", node.this, needle)


def _replace(node: exp.Expr, engine: str) -> exp.Expr:
    return call("replace", node.this, node.expression, node.args["replacement"])


#: Whatever stands in a statement and is not an aggregate is in this table or is refused. Those marked
#: ``_same`` are written alike; all have been run on both engines (tests/feature_specs/engine_probes.py).
SCALARS: Mapping[type[exp.Expr] | str, Handler] = {
    **TIMES,
    **NUMBERS,
    **COMPARISONS,
    **dict.fromkeys(
        (exp.And, exp.Or, exp.Not, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Like, exp.Neg, exp.Coalesce,
         exp.Exists, exp.Abs),
        _same,
    ),
    exp.Greatest: _extreme("greatest"), exp.Least: _extreme("least"), exp.Is: _is,
    exp.If: _if, "error": _error, "current_setting": _time_zone, "row": _row, exp.Concat: _concat,
    exp.DPipe: _text, exp.ILike: _ilike, exp.Substring: _substring, exp.Trim: _trim,
    exp.Lower: _named("lower"), exp.Upper: _named("upper"), exp.Length: _named("length"),
    exp.StartsWith: _starts, exp.StrPosition: _position, exp.Replace: _replace,
}  # fmt: skip
