"""Write a read-time expression as the JSON tree that serving evaluates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import duckdb
from sqlglot import exp

from feature_specs.catalog import Expression as Tree
from feature_specs.compile.draft import Draft
from feature_specs.compile.read_time.operators import (
    BINARY,
    NAMED,
    NAMED_PARTS,
    PART_ALIASES,
    PART_FUNCTIONS,
    PARTS,
    UNARY,
    VARIADIC,
)
from feature_specs.compile.read_time.zone_offsets import zone_offsets
from feature_specs.compile.sql.clock import is_clock
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.sql.request_values import request_of
from feature_specs.compile.sql.time_axis import interval_us
from feature_specs.errors import CompileError

#: How SQLGlot notes that DuckDB's own rules hold: for nulls, and for dividing by zero.
_HARMLESS = frozenset({"safe", "typed", "coalesce", "ignore_nulls", "is_nvl"})
#: Months in the units that have no fixed length.
_CALENDAR_UNITS = {"month": 1, "quarter": 3, "year": 12, "decade": 120}
_COUNT = re.compile(r"-?[0-9]{1,6}")
_WHOLE = re.compile(r"[0-9]+")
_POINTED = re.compile(r"[0-9]*\.[0-9]*")
_INTEGERS = (("INTEGER", 31), ("BIGINT", 63), ("HUGEINT", 127))
_DECIMAL_WIDTH = 38
#: Casts to these round; the reader of vectors has instants of microseconds alone.
_ROUNDED = (exp.DType.TIMESTAMP_S, exp.DType.TIMESTAMP_MS, exp.DType.TIMESTAMP_NS)


def to_tree(draft: Draft, node: exp.Expr, parts: Mapping[str, exp.Expr]) -> Tree:
    """The tree of an expression over stored columns, the clock and request values.

    Args:
        parts: stored column to what the author wrote in its place, for messages.

    Raises:
        CompileError: it uses an operator that the lookup API does not evaluate.
    """

    def sub(child: exp.Expr) -> Tree:
        return to_tree(draft, child, parts)

    try:
        made = (
            _leaf_tree(node)
            or _call_tree(node, sub)
            or _special_tree(node, sub)
            or _time_tree(node, sub)
        )
    except _RefusedError as refused:
        raise _refusal(draft, node, parts, refused.hint) from None
    if made is None:
        raise _refusal(
            draft,
            node,
            parts,
            "a read-time expression may use arithmetic, mathematics, comparisons, case, coalesce, "
            "casts, text functions, epoch, extract, age, date_diff, date_sub, date_trunc and "
            "strftime; compute anything else in a stored column",
        )
    known = PARTS.get(made[0])
    if known is not None and made[1] not in known:
        name = "a part of an age" if made[0] == "age_part" else f"the unit of {made[0]}"
        hint = f"{name} must be one of {', '.join(sorted(known))} there"
        raise _refusal(draft, node, parts, hint)
    return made


class _RefusedError(Exception):
    def __init__(self, hint: str) -> None:
        self.hint = hint
        super().__init__(hint)


def _refusal(
    draft: Draft, node: exp.Expr, parts: Mapping[str, exp.Expr], hint: str
) -> CompileError:
    written = _as_written(node, parts).sql(draft.dialect, normalize_functions=False)
    what = f"{written} cannot be evaluated when a vector is read"
    return CompileError(what, where=draft.locate(node), hint=hint)


def _as_written(node: exp.Expr, parts: Mapping[str, exp.Expr]) -> exp.Expr:
    """The expression in the author's own terms."""

    def written(inner: exp.Expr) -> exp.Expr:
        request = request_of(inner)
        if request is not None:
            said = [exp.Literal.string(text) for text in (request.name, request.type.lower())]
            return exp.Anonymous(this="request", expressions=said)
        if isinstance(inner, exp.Column) and inner.name in parts:
            return parts[inner.name].copy()
        return inner

    return node.copy().transform(written)


def _call_tree(node: exp.Expr, sub: Callable[[exp.Expr], Tree]) -> Tree | None:
    """Operators and functions that take expressions and nothing else."""
    kind = type(node)
    if isinstance(node, exp.Paren):
        return sub(node.this)
    months = _months_added(node)
    if months is not None:
        return ["add_months", months, sub(node.this)]
    if kind in BINARY and _only(node, "this", "expression", "negate"):
        made: Tree = [BINARY[kind], sub(node.this), sub(node.expression)]
        return ["not", made] if node.args.get("negate") else made
    if kind in UNARY and _only(node, "this"):
        return [UNARY[kind], sub(node.this)]
    if kind in VARIADIC and _only(node, "this", "expressions"):
        return [VARIADIC[kind], sub(node.this), *map(sub, node.expressions)]
    if kind in PART_FUNCTIONS and _only(node, "this"):
        return _part_tree(PART_FUNCTIONS[kind], node.this, sub)
    if isinstance(node, exp.Anonymous):
        name = node.name.lower()
        if name in NAMED:
            return [NAMED[name], *map(sub, node.expressions)]
        if name in NAMED_PARTS and len(node.expressions) == 1:
            return _part_tree(NAMED_PARTS[name], node.expressions[0], sub)
    return None


def _leaf_tree(node: exp.Expr) -> Tree | None:
    request = request_of(node)
    if request is not None:
        _type(exp.DataType.build(request.type, dialect=DUCKDB))
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
            raise _RefusedError("write a number of at most 38 digits")
        return number
    return None


def _type(kind: exp.DataType) -> str:
    """A type to which a vector's reader casts as DuckDB does."""
    rounded = kind.this in exp.DataType.TEMPORAL_TYPES and kind.expressions
    if kind.this in _ROUNDED or rounded:
        raise _RefusedError("cast to timestamp, and round by date_trunc('second', ...)")
    if kind.this in (exp.DType.ENUM, exp.DType.JSON):
        raise _RefusedError(
            "cast to varchar; compute what needs JSON or an enum in a stored column"
        )
    return duckdb_sql(kind)


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


def _only(node: exp.Expr, *names: str) -> bool:
    """No further argument changes what the node means."""
    return all(name in names or name in _HARMLESS for name, value in node.args.items() if value)


def _months_added(node: exp.Expr) -> int | None:
    """Of ``x + interval '1 month'`` and its like, how many months are added to x."""
    if not isinstance(node, (exp.Add, exp.Sub)):
        return None
    moved, unit = node.expression.unnest(), ""
    if isinstance(moved, exp.Interval):
        unit, moved = moved.text("unit").lower(), moved.this
    elif isinstance(moved, exp.Anonymous) and len(moved.expressions) == 1:
        unit, moved = moved.name.lower().removeprefix("to_"), moved.expressions[0]
    sign = -1 if isinstance(node, exp.Sub) else 1
    while isinstance(moved, (exp.Neg, exp.Paren)):
        sign, moved = (-sign if isinstance(moved, exp.Neg) else sign), moved.this
    size = _CALENDAR_UNITS.get(unit.removesuffix("s"))
    if size is None or not isinstance(moved, exp.Literal) or not _COUNT.fullmatch(moved.this):
        return None
    return sign * int(moved.this) * size


def _special_tree(node: exp.Expr, sub: Callable[[exp.Expr], Tree]) -> Tree | None:
    match node:
        case exp.Is(this=value, expression=exp.Null()):
            return ["is_null", sub(value)]
        case exp.Is(this=value, expression=exp.Boolean(this=wanted)):
            asked = ["cast", sub(value), "BOOLEAN"]
            return ["not", ["distinct", asked, ["literal", bool(wanted), "BOOLEAN"]]]
        case exp.NullSafeEQ():
            return ["not", ["distinct", sub(node.this), sub(node.expression)]]
        case exp.In(this=value, expressions=[_, *_] as listed):
            return ["in", sub(value), *map(sub, listed)]
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
        case exp.TryCast():
            return ["try_cast", sub(node.this), _type(node.to)]
        case exp.Cast():
            return ["cast", sub(node.this), _type(node.to)]
        case exp.Between():
            # One operator, since DuckDB compares all three in one type.
            return ["between", sub(node.this), sub(node.args["low"]), sub(node.args["high"])]
    return _argument_tree(node, sub)


def _argument_tree(node: exp.Expr, sub: Callable[[exp.Expr], Tree]) -> Tree | None:
    """Functions whose arguments SQLGlot keeps under names of their own."""

    def given(name: str, *names: str) -> Tree:
        found = (node.args.get(n) for n in names)
        return [name, *(sub(arg) for arg in found if isinstance(arg, exp.Expr))]

    match node:
        case exp.Round():
            return given("round", "this", "decimals")
        case exp.Trunc() if node.args.get("decimals") is None:
            return given("trunc", "this")
        case exp.Pi():
            return ["literal", math.pi, "DOUBLE"]
        case exp.Log(expression=None):
            return given("log10", "this")
        case exp.Log():
            return given("log", "this", "expression")
        case exp.Concat():
            return ["concat", *map(sub, node.expressions)]
        case exp.Replace():
            return given("replace", "this", "expression", "replacement")
        case exp.Substring():
            return given("substring", "this", "start", "length")
        case exp.StrPosition() if node.args.get("position") is None:
            return given("strpos", "this", "substr")
        case exp.Trim():
            sides = {"LEADING": "ltrim", "TRAILING": "rtrim"}
            return given(sides.get(node.text("position"), "trim"), "this", "expression")
        case exp.DateFromParts():
            return given("make_date", "year", "month", "day")
    return None


def _time_tree(node: exp.Expr, sub: Callable[[exp.Expr], Tree]) -> Tree | None:
    match node:
        case exp.Extract():
            return _part_tree(node.name, node.expression, sub)
        case exp.DateDiff():
            return ["date_diff", _part(node.text("unit")), sub(node.expression), sub(node.this)]
        case exp.TimestampTrunc() | exp.DateTrunc():
            return ["date_trunc", _part(node.text("unit")), sub(node.this)]
        case exp.TimeToStr(this=moment) if _is_text(node.args.get("format")):
            return ["strftime", node.text("format"), sub(moment)]
        case exp.AtTimeZone(this=moment) if _is_text(node.args.get("zone")):
            return ["local_time", _offsets(node.text("zone")), sub(moment)]
        case exp.Anonymous() if _is_age(node):
            raise _RefusedError(
                "an age is an interval: take a part of it, as in extract(year from age(a, b)), or "
                "write epoch(a - b) for seconds"
            )
        case exp.Anonymous(expressions=[exp.Literal(is_string=True) as word, *others]):
            return _told_tree(node.name.lower(), word.this, others, sub)
    return None


def _told_tree(
    name: str, word: str, others: list[exp.Expr], sub: Callable[[exp.Expr], Tree]
) -> Tree | None:
    """Functions whose first argument is a literal text."""
    if name in ("date_part", "datepart") and len(others) == 1:
        return _part_tree(word, others[0], sub)
    if name in ("date_sub", "datesub") and len(others) == 2:
        return ["date_sub", _part(word), *map(sub, others)]
    if name == "timezone" and len(others) == 1:
        return ["local_time", _offsets(word), sub(others[0])]
    return None


def _is_text(node: object) -> bool:
    return isinstance(node, exp.Literal) and node.is_string


def _part_tree(part: str, of: exp.Expr, sub: Callable[[exp.Expr], Tree]) -> Tree:
    of = of.unnest()
    if _is_age(of):
        return ["age_part", _part(part), *map(sub, of.expressions)]
    if part.lower() == "epoch":
        return ["epoch", sub(of)]
    return ["extract", _part(part), sub(of)]


def _is_age(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Anonymous)
        and node.name.lower() == "age"
        and len(node.expressions) == 2
    )


def _part(name: str) -> str:
    low = name.lower()
    return PART_ALIASES.get(low, low)


def _offsets(zone: str) -> list[list[int]]:
    try:
        return [list(change) for change in zone_offsets(zone)]
    except duckdb.Error:
        raise _RefusedError(
            f"write a zone that DuckDB knows, such as UTC or Europe/Berlin, not {zone!r}"
        ) from None
