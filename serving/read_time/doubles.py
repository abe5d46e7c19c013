"""Functions of doubles, with NaN and infinity where C gives them and Python raises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from feature_specs.sql_types import SqlType
from serving.read_time.casts import convert
from serving.read_time.numbers import need_numbers, quotient
from serving.read_time.typed import BOOLEAN, DOUBLE, Typed, binary, unary

Builder = Callable[[Sequence[Typed]], Typed]

_RADIAN = math.pi / 180
_DEGREE = 180 / math.pi


def of_double(name: str, function: Callable[..., float], of: SqlType = DOUBLE) -> Builder:
    """A function of one or two doubles."""

    def build(args: Sequence[Typed]) -> Typed:
        need_numbers(name, *args)
        doubles = [convert(a, DOUBLE) for a in args]
        if len(doubles) == 1:
            return unary(of, function, doubles[0])
        return binary(of, function, *doubles)

    return build


def _nan_outside(function: Callable[[float], float]) -> Callable[[float], float]:
    """NaN where the argument is outside the function's domain."""

    def call(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return math.nan

    return call


def _growing(function: Callable[[float], float], below: float) -> Callable[[float], float]:
    """Infinity where the result is too large, with the sign of ``below`` for negative numbers."""

    def call(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf if x > 0 else math.copysign(math.inf, below)

    return call


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def call(x: float) -> float:
        if x == 0:
            return -math.inf
        return math.nan if x < 0 else function(x)

    return call


def power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and math.fmod(y, 2) != 0 else math.inf
    except ValueError:
        if x == 0:
            odd = math.fmod(y, 2) in (1.0, -1.0)
            return math.copysign(math.inf, x) if odd else math.inf
        return math.nan


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _atanh(x: float) -> float:
    return math.copysign(math.inf, x) if abs(x) == 1 else math.atanh(x)


def _cot(x: float) -> float:
    return quotient(1.0, math.tan(x))


_log10 = _logarithm(math.log10)


def _log(base: float, x: float) -> float:
    return quotient(_log10(x), _log10(base))


#: Each function that takes doubles and gives a double.
FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "sqrt": _nan_outside(math.sqrt),
    "cbrt": math.cbrt,
    "exp": _exp,
    "ln": _logarithm(math.log),
    "log10": _log10,
    "log": _log,
    "pow": power,
    "sin": _nan_outside(math.sin),
    "cos": _nan_outside(math.cos),
    "tan": _nan_outside(math.tan),
    "cot": _nan_outside(_cot),
    "asin": _nan_outside(math.asin),
    "acos": _nan_outside(math.acos),
    "atan": math.atan,
    "atan2": math.atan2,
    "sinh": _growing(math.sinh, -1),
    "cosh": _growing(math.cosh, 1),
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": _nan_outside(math.acosh),
    "atanh": _nan_outside(_atanh),
    "radians": lambda x: x * _RADIAN,
    "degrees": lambda x: x * _DEGREE,
}

#: Those that take two.
OF_TWO = frozenset({"atan2", "log", "pow"})

#: Questions about a double.
TESTS: Mapping[str, Callable[[float], bool]] = {
    "isnan": math.isnan,
    "isinf": math.isinf,
    "isfinite": math.isfinite,
}


def builders() -> Mapping[str, tuple[Builder, int, int]]:
    """Each operator's builder with its least and greatest number of arguments."""
    out: dict[str, tuple[Builder, int, int]] = {}
    for name, function in FUNCTIONS.items():
        count = 2 if name in OF_TWO else 1
        out[name] = (of_double(name, function), count, count)
    for name, test in TESTS.items():
        out[name] = (of_double(name, test, BOOLEAN), 1, 1)
    return out
