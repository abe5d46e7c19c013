"""Write a read-time expression as the JSON tree that serving evaluates."""

from __future__ import annotations

import math
import re
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
_MOMENTS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
_SMALL = ("millisecond", "microsecond")

#: The parts of a moment that an operator may name first; serving knows all of them.
PARTS: dict[str, frozenset[str]] = {
    "extract": frozenset({*_MOMENTS, "dow", "isodow", "doy"}),
    "date_trunc": frozenset({*_MOMENTS, *_SMALL}),
    "date_diff": frozenset({*_MOMENTS, *_SMALL}),
}

#: Every operator that a tree may hold; serving evaluates all of them.
OPERATORS = frozenset(
    {*_BINARY.values(), *_UNARY.values(), *_VARIADIC.values(), *_NAMED.values(), *PARTS}
    | {"is_null", "case", "round", "cast", "try_cast", "between"}
)

#: Leaves of a tree.
LEAVES = frozenset({"column", "clock", "request", "literal", "interval"})

_WHOLE = re.compile(r"[0-9]+")
_POINTED = re.compile(r"[0-9]*\.[0-9]*")
_INTEGERS = (("INTEGER", 31), ("BIGINT", 63), ("HUGEINT", 127))
_DECIMAL_WIDTH = 38


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
        raise _refusal(
            draft,
            node,
            "a read-time expression may use arithmetic, comparisons, case, coalesce, casts, "
            "epoch, extract, date_diff and date_trunc",
        )
    known = PARTS.get(special[0])
    if known is not None and special[1] not in known:
        raise _refusal(draft, node, f"{special[0]} takes one of {', '.join(sorted(known))} there")
    return special


def _refusal(draft: Draft, node: exp.Expr, mend: str) -> CompileError:
    what = f"{node.sql(draft.dialect)} cannot be evaluated when a vector is read"
    return CompileError(what, where=draft.locate(node), mend=mend)


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
    if isinstance(node, exp.Literal) and node.is_string:
        return ["literal", node.this, "VARCHAR"]
    if _is_number(node):
        number = _number(node, 1)
        if number is None:
            raise _refusal(draft, node, "write a number of at most 38 digits")
        return number
    return None


def _is_number(node: exp.Expr) -> bool:
    """A number as written, its signs included: DuckDB too takes ``- 1`` for a literal."""
    while isinstance(node, (exp.Neg, exp.Paren)):
        node = node.this
    return isinstance(node, exp.Literal) and not node.is_string


def _number(node: exp.Expr, sign: int) -> Tree | None:
    """A number in the type that DuckDB gives it; None where it is beyond all of them."""
    if isinstance(node, (exp.Neg, exp.Paren)):
        return _number(node.this, -sign if isinstance(node, exp.Neg) else sign)
    text: str = node.this
    if _WHOLE.fullmatch(text):
        value = sign * int(text)
        for name, bits in _INTEGERS:
            if -(2**bits) <= value < 2**bits:
                return ["literal", value, name]
        return None
    width = len(text) - 1
    if _POINTED.fullmatch(text) and 0 < width <= _DECIMAL_WIDTH:
        # As text: JSON's numbers are doubles to many readers.
        scale = width - text.index(".")
        return ["literal", ("-" if sign < 0 else "") + text, f"DECIMAL({width},{scale})"]
    try:
        number = sign * float(text)
    except ValueError:
        return None
    return ["literal", number, "DOUBLE"] if math.isfinite(number) else None


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
        case exp.TryCast():
            return ["try_cast", sub(node.this), duckdb_sql(node.to)]
        case exp.Cast():
            return ["cast", sub(node.this), duckdb_sql(node.to)]
        case exp.Extract():
            return ["extract", node.name.lower(), sub(node.expression)]
        case exp.DateDiff():
            unit = node.text("unit").lower()
            return ["date_diff", unit, sub(node.expression), sub(node.this)]
        case exp.TimestampTrunc() | exp.DateTrunc():
            return ["date_trunc", node.text("unit").lower(), sub(node.this)]
        case exp.Between():
            # One operator, since DuckDB compares all three in one type.
            return ["between", sub(node.this), sub(node.args["low"]), sub(node.args["high"])]
    return None


def request_of(node: exp.Expr) -> Column | None:
    """The request value that a node stands for: ``cast(getvariable('forebay_request_x') as T)``."""
    if isinstance(node, exp.Cast) and is_variable(node.this):
        name = node.this.expressions[0].name.removeprefix(REQUEST_PREFIX)
        return Column(name, duckdb_sql(node.to))
    return None


def is_variable(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "getvariable"
