"""Arithmetic and mathematics, with DuckDB's result types, overflow errors and float edge cases."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from feature_specs.sql_types import SqlType
from serving.read_time.casts import (
    EXACT,
    convert,
    fit,
    in_range,
    to_float32,
)
from serving.read_time.typed import (
    BIGINT,
    DATE,
    DOUBLE,
    FLOAT,
    INTERVAL,
    NULL,
    TIMESTAMP,
    TIMESTAMPTZ,
    Typed,
    as_decimal,
    binary,
    fault,
    refuse,
    unary,
    unify,
    unify_operands,
)

Builder = Callable[[Sequence[Typed]], Typed]


def add(args: Sequence[Typed]) -> Typed:
    a, b = args
    if b.type.is_temporal or (b.type == INTERVAL and a.type != INTERVAL and not a.type.is_temporal):
        a, b = b, a
    return _shift(operator.add, a, b) or _arithmetic("add", operator.add, a, b)


def subtract(args: Sequence[Typed]) -> Typed:
    a, b = args
    if a.type.is_temporal and b.type.is_temporal:
        if a.type == b.type == DATE:
            return binary(BIGINT, lambda x, y: (x - y).days, a, b)
        common = unify([a, b])
        made = binary(INTERVAL, operator.sub, convert(a, common), convert(b, common))
        return made._replace(made_of=("sub", a, b))
    return _shift(operator.sub, a, b) or _arithmetic("sub", operator.sub, a, b)


def multiply(args: Sequence[Typed]) -> Typed:
    a, b = args
    for interval, factor in ((a, b), (b, a)):
        if interval.type == INTERVAL and factor.type.is_integer:
            return binary(INTERVAL, _guard(operator.mul), interval, factor)
    return _arithmetic("mul", operator.mul, a, b)


def divide(args: Sequence[Typed]) -> Typed:
    a, b = args
    need_numbers("division", a, b)
    common = FLOAT if _single(a, b) else DOUBLE
    return _float_binary(quotient, common, a, b)


def integer_divide(args: Sequence[Typed]) -> Typed:
    a, b = args
    need_numbers("//", a, b)
    common = unify_operands(a, b)
    if not common.is_integer:
        # Only integers are truncated; but unlike `/` this fails on zero for floats too.
        common = FLOAT if _single(a, b) else DOUBLE
        return _float_binary(_quotient_of_nonzero, common, a, b)
    return binary(common, lambda x, y: in_range(_truncated(x, y), common), *_both(common, a, b))


def modulo(args: Sequence[Typed]) -> Typed:
    a, b = args
    need_numbers("%", a, b)
    common = unify_operands(a, b)
    if common.is_float:
        # Decimals too wide for one type are divided as doubles, but still fail on zero.
        exact = not (a.type.is_float or b.type.is_float)
        return _float_binary(_remainder_of_nonzero if exact else _remainder, common, a, b)
    x, y = _both(common, a, b)
    if common.is_integer:
        return binary(common, lambda p, q: p - q * _truncated(p, q), x, y)
    return binary(common, _decimal_remainder, x, y)


def negate(args: Sequence[Typed]) -> Typed:
    (a,) = args
    if a.type == INTERVAL:
        return unary(INTERVAL, operator.neg, a)
    need_numbers("-", a)
    if a.type.is_integer:
        return unary(a.type, lambda x: in_range(-x, a.type), a)
    return unary(a.type, operator.neg if a.type.is_float else _minus, a)


def absolute(args: Sequence[Typed]) -> Typed:
    (a,) = args
    need_numbers("abs", a)
    if a.type.is_integer:
        return unary(a.type, lambda x: in_range(abs(x), a.type), a)
    # abs() would round a decimal to the 28 digits of Python's default context.
    return unary(a.type, abs if a.type.is_float else Decimal.copy_abs, a)


def _shift(step: Callable[[Any, Any], Any], a: Typed, b: Typed) -> Typed | None:
    """A date or moment moved by an interval or, a date only, by days."""
    if a.type == b.type == INTERVAL:
        return binary(INTERVAL, _guard(step), a, b)
    if b.type == INTERVAL and a.type.is_temporal:
        of = TIMESTAMPTZ if a.type == TIMESTAMPTZ else TIMESTAMP
        return binary(of, _guard(step), convert(a, of), b)
    if a.type == DATE and b.type.is_integer:
        return binary(DATE, _guard(lambda day, n: step(day, timedelta(days=n))), a, b)
    return None


def _arithmetic(name: str, step: Callable[[Any, Any], Any], a: Typed, b: Typed) -> Typed:
    need_numbers(name, a, b)
    floating = a.type.is_float or b.type.is_float
    if floating or "DECIMAL" not in (a.type.name, b.type.name):
        common = unify_operands(a, b)
        if common == NULL:
            return a
        if common.is_integer:
            made = binary(common, lambda x, y: in_range(step(x, y), common), a, b)
            return made._replace(made_of=(name, a, b))
        return _float_binary(step, common, a, b)
    if NULL in (a.type, b.type):
        return Typed(b.type if a.type == NULL else a.type, lambda row, clock, request: None)
    exact = {"add": EXACT.add, "sub": EXACT.subtract, "mul": EXACT.multiply}[name]
    of = _decimal_type(name, as_decimal(a.type), as_decimal(b.type))
    if name != "mul":
        # DuckDB brings both to the result's scale first, and fails where one does not fit.
        a, b = (x if as_decimal(x.type).scale == of.scale else convert(x, of) for x in (a, b))
    return binary(of, lambda x, y: fit(exact(Decimal(x), Decimal(y)), of), a, b)


def _decimal_type(name: str, a: SqlType, b: SqlType) -> SqlType:
    if name == "mul":
        scale = a.scale + b.scale
        if scale > 38:
            raise refuse("a product of decimals with more than 38 digits after the point", "cast")
        # Products of decimals that fit 64 bits stay there, where their scale leaves room.
        most = 18 if max(a.width, b.width) <= 18 and scale < 18 else 38
        return SqlType("DECIMAL", min(most, a.width + b.width), scale)
    scale = max(a.scale, b.scale)
    whole = max(a.width - a.scale, b.width - b.scale)
    return SqlType("DECIMAL", min(38, whole + scale + 1), scale)


def _float_binary(
    step: Callable[[float, float], float], common: SqlType, a: Typed, b: Typed
) -> Typed:
    x, y = _both(common, a, b)
    if common == FLOAT:
        return binary(common, lambda p, q: to_float32(step(p, q)), x, y)
    return binary(common, step, x, y)


def quotient(x: float, y: float) -> float:
    if y == 0:
        if x == 0 or x != x:
            return math.nan
        return math.copysign(math.inf, x) * math.copysign(1.0, y)
    return x / y


def _quotient_of_nonzero(x: float, y: float) -> float:
    if y == 0:
        raise fault(f"division of {x} by zero")
    return x / y


def _remainder(x: float, y: float) -> float:
    if y == 0 or math.isinf(x):
        return math.nan
    return math.fmod(x, y)


def _remainder_of_nonzero(x: float, y: float) -> float:
    if y == 0:
        raise fault(f"division of {x} by zero")
    return _remainder(x, y)


def _truncated(x: int, y: int) -> int:
    if y == 0:
        raise fault(f"division of {x} by zero")
    size = abs(x) // abs(y)
    return size if (x < 0) == (y < 0) else -size


def _decimal_remainder(x: Decimal, y: Decimal) -> Decimal:
    if not y:
        raise fault(f"division of {x} by zero")
    rest = EXACT.remainder(x, y)
    return rest if rest else rest.copy_abs()


def _minus(value: Decimal) -> Decimal:
    return EXACT.minus(value)


def _guard(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call(x: Any, y: Any) -> Any:
        try:
            return step(x, y)
        except OverflowError:
            raise fault(f"{_shown(x)} and {_shown(y)} give a time out of range") from None

    return call


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _both(common: SqlType, a: Typed, b: Typed) -> tuple[Typed, Typed]:
    return convert(a, common), convert(b, common)


def _single(a: Typed, b: Typed) -> bool:
    return FLOAT in (a.type, b.type) and DOUBLE not in (a.type, b.type)


def need_numbers(name: str, *args: Typed) -> None:
    for arg in args:
        if not (arg.type.is_numeric or arg.type == NULL):
            raise refuse(f"{name} of a {arg.type}", "cast it to a number first")
