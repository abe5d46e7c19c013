"""Write a read-time expression as the JSON tree that serving evaluates."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from feature_specs.catalog import Column
from feature_specs.catalog import Expression as Tree
from feature_specs.compile.draft import Draft
from feature_specs.compile.duckdb_sql import duckdb_sql
from feature_specs.compile.resolve_clock import is_clock
from feature_specs.compile.time_axis import interval_us
from feature_specs.errors import CompileError

REQUEST_PREFIX = "forebay_request_"

_BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "add", exp.Sub: "sub", exp.Mul: "mul", exp.Div: "div", exp.IntDiv: "intdiv",
    exp.Mod: "mod", exp.EQ: "eq", exp.NEQ: "ne", exp.LT: "lt", exp.LTE: "le", exp.GT: "gt",
    exp.GTE: "ge", exp.And: "and", exp.Or: "or", exp.Pow: "pow", exp.Nullif: "nullif",
}  # fmt: skip
_UNARY: dict[type[exp.Expr], str] = {
    exp.Neg: "neg", exp.Not: "not", exp.Abs: "abs", exp.Floor: "floor", exp.Ceil: "ceil",
    exp.Sqrt: "sqrt", exp.Ln: "ln", exp.Exp: "exp", exp.TimeToUnix: "epoch",
    exp.Lower: "lower", exp.Upper: "upper",
}  # fmt: skip
_VARIADIC: dict[type[exp.Expr], str] = {
    exp.Coalesce: "coalesce", exp.Greatest: "greatest", exp.Least: "least",
}  # fmt: skip
_NAMED = {"epoch_us": "epoch_us", "epoch_ms": "epoch_ms", "epoch": "epoch"}
_PARTS: dict[type[exp.Expr], str] = {
    exp.Year: "year", exp.Month: "month", exp.Day: "day", exp.Quarter: "quarter",
    exp.DayOfWeek: "dow", exp.DayOfYear: "doy", exp.Hour: "hour", exp.Minute: "minute",
    exp.Second: "second",
}  # fmt: skip
_EXTRACTED = {*_PARTS.values()}

#: Every operator that a tree may hold; serving evaluates all of them.
OPERATORS = frozenset(
    {*_BINARY.values(), *_UNARY.values(), *_VARIADIC.values(), *_NAMED.values()}
    | {"column", "clock", "request", "literal", "interval", "is_null", "case", "round", "cast"}
    | {"extract", "date_diff", "date_trunc"}
)


def to_tree(draft: Draft, node: exp.Expr) -> Tree:
    """The tree of an expression over stored columns, the clock and request values.

    Raises:
        CompileError: it uses an operator that the lookup API does not evaluate.
    """
    from_leaf = _leaf_tree(draft, node)
    if from_leaf is not None:
        return from_leaf

    def sub(child: exp.Expr) -> Tree:
        return to_tree(draft, child)

    if isinstance(node, exp.Paren):
        return sub(node.this)
    kind = type(node)
    if kind in _BINARY:
        return [_BINARY[kind], sub(node.this), sub(node.expression)]
    if kind in _UNARY:
        return [_UNARY[kind], sub(node.this)]
    if kind in _VARIADIC:
        return [_VARIADIC[kind], sub(node.this), *map(sub, node.expressions)]
    if kind in _PARTS:
        return ["extract", _PARTS[kind], sub(node.this)]
    if isinstance(node, exp.Anonymous) and node.name.lower() in _NAMED:
        return [_NAMED[node.name.lower()], *map(sub, node.expressions)]
    special = _special_tree(node, sub)
    if special is None:
        raise CompileError(
            f"{node.sql(draft.dialect)} cannot be evaluated when a vector is read",
            where=draft.locate(node),
            mend="a read-time expression may use arithmetic, comparisons, case, coalesce, casts, "
            "epoch, extract, date_diff and date_trunc",
        )
    return special


def _leaf_tree(draft: Draft, node: exp.Expr) -> Tree | None:
    request = request_of(node)
    if request is not None:
        return ["request", request.name]
    if is_clock(node):
        return ["clock"]
    if isinstance(node, exp.Column):
        return ["column", node.name]
    width = interval_us(node)
    if width is not None:
        return ["interval", width]
    if isinstance(node, exp.Null):
        return ["literal", None, "NULL"]
    if isinstance(node, exp.Boolean):
        return ["literal", bool(node.this), "BOOLEAN"]
    if isinstance(node, exp.Literal):
        if node.is_string:
            return ["literal", node.this, "VARCHAR"]
        if node.is_int:
            return ["literal", int(node.this), "BIGINT"]
        return ["literal", float(node.this), "DOUBLE"]
    return None


def _special_tree(node: exp.Expr, sub: Callable[[exp.Expr], Tree]) -> Tree | None:
    match node:
        case exp.Is(this=value, expression=exp.Null()):
            return ["is_null", sub(value)]
        case exp.Case():
            out: Tree = ["case"]
            for branch in node.args["ifs"]:
                test = branch.this
                if node.this is not None:
                    test = exp.EQ(this=node.this.copy(), expression=test.copy())
                out += [sub(test), sub(branch.args["true"])]
            default = node.args.get("default")
            return [*out, sub(default) if default is not None else ["literal", None, "NULL"]]
        case exp.If():
            other = node.args.get("false")
            last = sub(other) if other is not None else ["literal", None, "NULL"]
            return ["case", sub(node.this), sub(node.args["true"]), last]
        case exp.Round():
            digits = node.args.get("decimals")
            return ["round", sub(node.this), *([sub(digits)] if digits is not None else [])]
        case exp.Cast():
            return ["cast", sub(node.this), duckdb_sql(node.to)]
        case exp.Extract() if node.name.lower() in _EXTRACTED:
            return ["extract", node.name.lower(), sub(node.expression)]
        case exp.DateDiff():
            unit = node.text("unit").lower()
            return ["date_diff", unit, sub(node.expression), sub(node.this)]
        case exp.TimestampTrunc() | exp.DateTrunc():
            return ["date_trunc", node.text("unit").lower(), sub(node.this)]
        case exp.Between():
            low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
            high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
            return ["and", sub(low), sub(high)]
    return None


def request_of(node: exp.Expr) -> Column | None:
    """The request value that a node stands for: ``cast(getvariable('forebay_request_x') as T)``."""
    if isinstance(node, exp.Cast) and is_variable(node.this):
        name = node.this.expressions[0].name.removeprefix(REQUEST_PREFIX)
        return Column(name, duckdb_sql(node.to))
    return None


def is_variable(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "getvariable"
