"""Casts, with DuckDB's rounding: floats to integers half to even, all else half away from zero."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from serving.read_time.typed import (
    DOUBLE,
    FLOAT,
    NULL,
    VARCHAR,
    Typed,
    fault,
    refuse,
    unary,
)
from serving.sql_types import INTEGER_RANGE, SqlType

#: Wide enough that no step before the last rounds.
EXACT = Context(prec=120, rounding=ROUND_HALF_UP)

_NUMBER = re.compile(r"[ \t\n\r]*(-?\d+(?:\.\d+)?)[ \t\n\r]*", re.ASCII)
_FLOAT = re.compile(r"[ \t\n\r]*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)[ \t\n\r]*", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:\d\d)?)?)?", re.ASCII
)


def convert(arg: Typed, to: SqlType) -> Typed:
    """The expression with its values cast.

    Raises:
        CompileError: there is no such cast, or it depends on more than the value.
    """
    if arg.type == to or arg.type == NULL:
        return Typed(to, arg.run)
    return unary(to, _caster(arg.type, to), arg)


def to_float32(value: float) -> float:
    """The nearest single-precision number, as a double."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _caster(of: SqlType, to: SqlType) -> Callable[[Any], Any]:
    if to == FLOAT and of.is_numeric and not (of.is_float or of.is_integer):
        # DuckDB rounds the digits and the power of ten apart, each to 32 bits.
        raise refuse("a decimal as a FLOAT", "cast it to DOUBLE first")
    if to == VARCHAR:
        return _to_text(of)
    if of == VARCHAR:
        return _from_text(to)
    if of.is_temporal and to.is_temporal:
        return _between_times(of, to)
    if of.name == "BOOLEAN" and to.is_numeric:
        inner = _between_numbers(SqlType("INTEGER"), to)
        return lambda value: inner(int(value))
    if of.is_numeric and to.name == "BOOLEAN":
        return lambda value: value != 0
    if of.is_numeric and to.is_numeric:
        return _between_numbers(of, to)
    raise refuse(f"there is no cast from {of} to {to}", "cast it in the stored part of the query")


def _between_numbers(of: SqlType, to: SqlType) -> Callable[[Any], Any]:
    if to.name == "DECIMAL":
        if of.is_float:
            return lambda value: _float_to_decimal(value, to)
        return lambda value: fit(Decimal(value), to)
    if to.is_integer:
        return lambda value: in_range(_whole(value), to)
    if of.name == "DECIMAL":
        return lambda value: _decimal_to_float(value, of.scale, to)
    if of.is_integer:
        return _integer_to_float32 if to == FLOAT else integer_to_double
    return _narrow if to == FLOAT else float


def in_range(value: int, of: SqlType) -> int:
    """The integer, if its type holds it. Raises DataError otherwise, as DuckDB does."""
    low, high = INTEGER_RANGE[of.name]
    if low <= value <= high:
        return value
    raise fault(f"{value} is out of the range of {of}")


def fit(value: Decimal, to: SqlType) -> Decimal:
    """The decimal at a type's scale, rounded half away from zero. Raises DataError if too wide."""
    scaled = value.quantize(Decimal((0, (1,), -to.scale)), context=EXACT)
    if scaled.copy_abs() >= Decimal(10) ** (to.width - to.scale):
        raise fault(f"{value} does not fit {to}")
    return scaled if scaled else scaled.copy_abs()


def round_half_away(value: float) -> float:
    """C's ``round``: to the nearest whole number, halves away from zero, keeping the sign of 0."""
    size = abs(value)
    whole = math.floor(size)
    return math.copysign(whole + 1.0 if size - whole >= 0.5 else float(whole), value)


def _whole(value: Any) -> int:
    if isinstance(value, Decimal):
        return int(value.to_integral_value(rounding=ROUND_HALF_UP))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise fault(f"{value} is no integer")
        return round(value)
    return int(value)


def _float_to_decimal(value: float, to: SqlType) -> Decimal:
    scaled = value * 10.0**to.scale
    if not math.isfinite(scaled):
        raise fault(f"{value} does not fit {to}")
    whole = int(round_half_away(scaled))
    if abs(whole) >= 10**to.width:
        raise fault(f"{value} does not fit {to}")
    return Decimal(whole).scaleb(-to.scale, context=EXACT)


def _decimal_to_float(value: Decimal, scale: int, to: SqlType) -> float:
    """DuckDB's two ways, whose last bit may differ from the nearest float of the decimal."""
    single = to == FLOAT
    unscaled = int(value.scaleb(scale, context=EXACT))
    number = _integer_to_float32 if single else integer_to_double
    power = to_float32(10.0**scale) if single else 10.0**scale

    def divide(top: int) -> float:
        quotient = number(top) / power
        return to_float32(quotient) if single else quotient

    if scale == 0 or abs(unscaled) <= 2 ** (24 if single else 53):
        return divide(unscaled)
    sign = -1 if unscaled < 0 else 1
    whole, part = divmod(abs(unscaled), 10**scale)
    total = number(sign * whole) + divide(sign * part)
    return to_float32(total) if single else total


def integer_to_double(value: int) -> float:
    """An integer as a double, by DuckDB's way for 128 bits, whose last bit may differ."""
    if -(2**63) <= value < 2**64:
        return float(value)
    upper, lower = value >> 64, value & (2**64 - 1)
    if upper == -1:
        return -float(2**64 - 1 - lower) - 1.0
    return float(lower) + float(upper) * 2.0**64


def _integer_to_float32(value: int) -> float:
    size = abs(value)
    drop = size.bit_length() - 50
    if drop > 0:
        # Keep 50 bits, the last of them sticky, so that only the step to single rounds.
        kept = (size >> drop) | (1 if size & ((1 << drop) - 1) else 0)
        return math.copysign(to_float32(float(kept) * 2.0**drop), value)
    return to_float32(float(value))


def _narrow(value: float) -> float:
    single = to_float32(value)
    if math.isinf(single) and not math.isinf(value):
        raise fault(f"{value} is out of the range of FLOAT")
    return single


def _to_text(of: SqlType) -> Callable[[Any], str]:
    if of.is_integer or of == DOUBLE:
        return str
    if of == FLOAT:
        return _float32_text
    if of.name == "DECIMAL":
        return lambda value: format(value, "f")
    if of.name == "BOOLEAN":
        return lambda value: "true" if value else "false"
    if of.name in ("DATE", "UUID"):
        return str
    if of.is_temporal:
        suffix = "+00" if of.name.endswith("ZONE") else ""
        return lambda value: _time_text(value) + suffix
    raise refuse(f"a read-time cast from {of} to text", "cast it in the stored part of the query")


def _float32_text(value: float) -> str:
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if to_float32(short) == value:
            return repr(short)
    return repr(value)


def _time_text(value: datetime) -> str:
    text = value.strftime("%H:%M:%S")
    if value.microsecond:
        text += f".{value.microsecond:06d}".rstrip("0")
    return f"{value.date().isoformat()} {text}"


def _from_text(to: SqlType) -> Callable[[str], Any]:
    if to.is_integer:
        return lambda text: in_range(_whole(Decimal(_match(_NUMBER, text, to))), to)
    if to.name == "DECIMAL":
        return lambda text: fit(Decimal(_match(_NUMBER, text, to)), to)
    if to.is_float:
        return lambda text: _float_from_text(text, to)
    if to.is_temporal:
        return lambda text: _time_from_text(text, to)
    if to.name == "BOOLEAN":
        return _boolean_from_text
    raise refuse(f"a read-time cast from text to {to}", "cast it in the stored part of the query")


def _match(pattern: re.Pattern[str], text: str, to: SqlType) -> str:
    found = pattern.fullmatch(text)
    if found is None or len(text) > 400:
        raise fault(f"cannot read {text[:40]!r} as {to}")
    return found.group(1)


def _float_from_text(text: str, to: SqlType) -> float:
    value = float(_match(_FLOAT, text, to))
    if math.isinf(value):
        raise fault(f"{text[:40]!r} is out of the range of {to}")
    return _narrow(value) if to == FLOAT else value


def _boolean_from_text(text: str) -> bool:
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in known:
        raise fault(f"cannot read {text[:40]!r} as BOOLEAN")
    return known[text.lower()]


def _time_from_text(text: str, to: SqlType) -> Any:
    pattern = _DAY if to.name == "DATE" else _MOMENT
    if not pattern.fullmatch(text):
        raise fault(f"cannot read {text[:40]!r} as {to}")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise fault(f"{text[:40]!r} is no {to}") from None
    if to.name == "DATE":
        return moment.date()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    utc = moment.astimezone(UTC)
    return utc if to.name.endswith("ZONE") else utc.replace(tzinfo=None)


def _between_times(of: SqlType, to: SqlType) -> Callable[[Any], Any]:
    """All sessions run at UTC, so a zone is only added or dropped."""
    if to.name == "DATE":
        return lambda value: value.date()
    zone = UTC if to.name.endswith("ZONE") else None
    if of.name == "DATE":
        return lambda value: datetime.combine(value, time(), zone)
    return lambda value: value.replace(tzinfo=zone)
