"""ROUND, FLOOR, CEIL, TRUNC and SIGN: decimals lose their scale, integers stay or become doubles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from feature_specs.sql_types import SqlType
from serving.read_time.casts import EXACT, convert, in_range, round_half_away, to_float32
from serving.read_time.doubles import power
from serving.read_time.numbers import need_numbers, quotient
from serving.read_time.typed import DOUBLE, FLOAT, Typed, binary, fault, refuse, unary

#: DuckDB rounds no unsigned integer.
_UNSIGNED_ROUNDED = {
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER"), SqlType("BIGINT")),
    "UBIGINT": SqlType("HUGEINT"),
    "UHUGEINT": DOUBLE,
}


def rounded(args: Sequence[Typed]) -> Typed:
    a = args[0]
    need_numbers("round", a)
    if len(args) == 2 and not args[1].type.is_integer:
        raise refuse(
            "round to a number of digits that is not an integer", "write a literal integer"
        )
    if a.type.name == "DECIMAL":
        return _round_decimal(args)
    of = _UNSIGNED_ROUNDED.get(a.type.name, a.type)
    a = convert(a, of)
    if len(args) == 1:
        return a if of.is_integer else unary(of, _nearest, a)
    if of.is_integer:
        return binary(of, lambda x, n: in_range(_round_integer(x, n), of), a, args[1])
    finish = to_float32 if of == FLOAT else float
    return binary(of, lambda x, n: finish(_round_float(x, n)), a, args[1])


def floor(args: Sequence[Typed]) -> Typed:
    return _to_whole(args, math.floor)


def ceil(args: Sequence[Typed]) -> Typed:
    return _to_whole(args, math.ceil)


def truncated(args: Sequence[Typed]) -> Typed:
    """Without its fraction; decimals lose their scale, floats keep their type."""
    (a,) = args
    need_numbers("trunc", a)
    if a.type.name == "DECIMAL":
        of = SqlType("DECIMAL", a.type.width, 0)
        return unary(of, lambda x: Decimal(int(x)), a)
    if not a.type.is_float:
        return a
    return unary(a.type, lambda x: math.copysign(float(int(x)), x) if math.isfinite(x) else x, a)


def sign(args: Sequence[Typed]) -> Typed:
    """-1, 0 or 1. That of NaN is 0."""
    (a,) = args
    need_numbers("sign", a)
    return unary(SqlType("TINYINT"), lambda x: (x > 0) - (x < 0), a)


def _round_decimal(args: Sequence[Typed]) -> Typed:
    a = args[0]
    if len(args) == 1:
        of = SqlType("DECIMAL", a.type.width, 0)
        return unary(of, lambda x: _round_to(x, 0), a)
    digits = _constant(args[1])
    if digits >= a.type.scale:
        return a
    of = SqlType("DECIMAL", a.type.width, max(digits, 0))
    return unary(of, lambda x: _round_to(x, digits), a)


def _constant(arg: Typed) -> int:
    """The value of an expression that reads neither row, clock nor request."""
    try:
        return int(arg.run({}, datetime.min, {}))
    except (KeyError, TypeError):
        raise refuse(
            "round to a number of digits that is not constant", "write a literal"
        ) from None


def _round_to(value: Decimal, digits: int) -> Decimal:
    kept = value.quantize(Decimal((0, (1,), -digits)), context=EXACT)
    kept = kept.quantize(Decimal((0, (1,), -max(digits, 0))), context=EXACT)
    if digits < 0 and kept.adjusted() >= 38:
        raise fault(f"{value} rounded to {digits} digits is out of range")
    return kept if kept else kept.copy_abs()


def _round_integer(value: int, digits: int) -> int:
    if digits >= 0:
        return value
    if digits < -40:
        return 0
    unit: int = 10**-digits
    size = (abs(value) + unit // 2) // unit * unit
    return -size if value < 0 else size


def _nearest(value: float) -> float:
    return round_half_away(value) if math.isfinite(value) else value


def _round_float(value: float, digits: int) -> float:
    if not math.isfinite(value):
        return value
    unit = power(10.0, float(abs(digits)))
    if digits < 0:
        moved = value / unit
        back = _nearest(moved) * unit
        return back if math.isfinite(back) else 0.0
    back = quotient(_nearest(value * unit), unit)
    return back if math.isfinite(back) else value


def _to_whole(args: Sequence[Typed], step: Callable[[Any], int]) -> Typed:
    (a,) = args
    need_numbers(step.__name__, a)
    if a.type.name == "DECIMAL":
        of = SqlType("DECIMAL", a.type.width, 0)
        return unary(of, lambda x: Decimal(step(x)), a)

    def whole(x: float) -> float:
        return math.copysign(float(step(x)), x) if math.isfinite(x) else x

    of = a.type if a.type.is_float else DOUBLE
    return unary(of, whole, convert(a, of))
