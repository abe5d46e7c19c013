"""Casts, with DuckDB's rounding: floats to integers half to even, all else half away from zero."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Any

from feature_specs.errors import DataError
from feature_specs.sql_types import INTEGER_RANGE, SqlType
from serving.read_time.typed import (
    DOUBLE,
    FLOAT,
    NULL,
    VARCHAR,
    Typed,
    UnreadError,
    constant,
    fault,
    refuse,
    unary,
    unread,
)

#: Wide enough that no step before the last rounds.
EXACT = Context(prec=120, rounding=ROUND_HALF_UP)
#: The doubles that DuckDB 2.0 casts to the text of other numbers (2 ** 81 to twice its value). Their
#: text is an error here, since the right one would not be what training had.
MISWRITTEN = (2.0**81, 2.0**91, 2.0**807)

_SPACE = r"[ \t\n\r\v\f]*"
_DIGITS = r"\d+(?:_\d+)*"
_PLAIN = rf"(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})"
_NUMBER = re.compile(rf"{_SPACE}([+-]?{_PLAIN}){_SPACE}", re.ASCII)
#: A number that only DuckDB reads, if it does: with an exponent, or not to the base of ten.
_PERHAPS = re.compile(rf"{_SPACE}[+-]?(?:{_PLAIN}[eE][+-]?[\d_]+|0[xXbB]\w+){_SPACE}", re.ASCII)
_FLOAT = re.compile(
    rf"{_SPACE}\+?(-?(?:{_PLAIN}(?:[eE][+-]?{_DIGITS})?|inf(?:inity)?|nan)){_SPACE}",
    re.ASCII | re.IGNORECASE,
)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:\d\d)?)?)?", re.ASCII
)


_MOMENT_WORDS = ("infinity", "+infinity", "-infinity", "inf", "-inf", "epoch")


def convert(arg: Typed, to: SqlType) -> Typed:
    """The expression with its values cast.

    Raises:
        CompileError: there is no such cast, or it depends on more than the value.
    """
    if isinstance(arg.written, str) and to != VARCHAR:
        return _literal_text(arg.written, to)
    return convert_as_told(arg, to)


def convert_as_told(arg: Typed, to: SqlType) -> Typed:
    """What CAST gives; a text that is a literal may fail when it is read."""
    if arg.type == to or arg.type == NULL:
        return Typed(to, arg.run)
    cast = _caster(arg.type, to)
    if not arg.fixed:
        return unary(to, cast, arg)
    value = arg.run({}, datetime.min, {})
    try:
        return constant(to, None if value is None else cast(value))
    except DataError:
        return unary(to, cast, arg)


def try_convert(arg: Typed, to: SqlType) -> Typed:
    """What TRY_CAST gives: null where the value has no such form."""
    if arg.type == to or arg.type == NULL:
        return Typed(to, arg.run)
    cast = _caster(arg.type, to)

    def attempt(value: Any) -> Any:
        try:
            return cast(value)
        except UnreadError:
            raise
        except DataError:
            return None

    return unary(to, attempt, arg)


def _literal_text(text: str, to: SqlType) -> Typed:
    """A text that was written where a value of another type stands."""
    try:
        return constant(to, _caster(VARCHAR, to)(text))
    except DataError as unreadable:
        raise refuse(unreadable.what, f"write a {to} in its usual form, or cast it") from None


def to_float32(value: float) -> float:
    """The nearest single-precision number, as a double."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _caster(of: SqlType, to: SqlType) -> Callable[[Any], Any]:
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
    unit, limit = _scale_and_limit(to)
    scaled = value.quantize(unit, context=EXACT)
    if scaled.copy_abs() >= limit:
        raise fault(f"{value} does not fit {to}")
    return scaled if scaled else scaled.copy_abs()


@cache
def _scale_and_limit(to: SqlType) -> tuple[Decimal, Decimal]:
    return Decimal((0, (1,), -to.scale)), Decimal(10) ** (to.width - to.scale)


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
            raise fault(f"{value} is not an integer")
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
    if of.is_integer:
        return str
    if of == DOUBLE:
        return _double_text
    if of == FLOAT:
        return _float32_text
    if of.name == "DECIMAL":
        if of.width == of.scale:  # DuckDB leaves out the digit before the point, which never counts
            return lambda value: format(value, "f").replace("0.", ".", 1)
        return lambda value: format(value, "f")
    if of.name == "BOOLEAN":
        return lambda value: "true" if value else "false"
    if of.name in ("DATE", "UUID"):
        return str
    if of.is_temporal:
        suffix = "+00" if of.name.endswith("ZONE") else ""
        return lambda value: _time_text(value) + suffix
    raise refuse(f"a read-time cast from {of} to text", "cast it in the stored part of the query")


def _double_text(value: float) -> str:
    if abs(value) in MISWRITTEN:
        raise UnreadError(
            f"DuckDB writes {value} as the text of another number",
            where="read-time expression",
            hint="send another value, or cast it to a decimal first",
        )
    return str(value)


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
        return lambda text: in_range(_whole(Decimal(_number(text, to))), to)
    if to.name == "DECIMAL":
        return lambda text: fit(Decimal(_number(text, to)), to)
    if to.is_float:
        return lambda text: _float_from_text(text, to)
    if to.is_temporal:
        return lambda text: _time_from_text(text, to)
    if to.name == "BOOLEAN":
        return _boolean_from_text
    raise refuse(f"a read-time cast from text to {to}", "cast it in the stored part of the query")


def _number(text: str, to: SqlType) -> str:
    found = _NUMBER.fullmatch(text)
    if len(text) > 400 or (found is None and _PERHAPS.fullmatch(text)):
        raise unread(text, to)
    if found is None:
        raise _unreadable(text, to)
    number = found.group(1)
    if to.name.startswith("U") and number.startswith("-") and Decimal(number) > -1:
        raise unread(text, to)  # DuckDB reads "-0" as unsigned, but not "-0 "
    return number


def _unreadable(text: str, to: SqlType) -> DataError:
    return fault(f"cannot read {text[:40]!r} as {to}")


def _float_from_text(text: str, to: SqlType) -> float:
    if len(text) > 400:
        raise unread(text, to)
    found = _FLOAT.fullmatch(text)
    if found is None:
        raise _unreadable(text, to)
    value = float(found.group(1))
    return to_float32(value) if to == FLOAT else value


_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


def _boolean_from_text(text: str) -> bool:
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise fault(f"cannot read {text[:40]!r} as BOOLEAN")
    return known


def _time_from_text(text: str, to: SqlType) -> Any:
    if not _MOMENT.fullmatch(text):
        # Without a digit it could only be one of the words that DuckDB knows.
        if re.search(r"\d", text, re.ASCII) or text.strip(" ").lower() in _MOMENT_WORDS:
            raise unread(text, to)
        raise _unreadable(text, to)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        if text.startswith("0000") or text[11:13] == "24":
            raise unread(text, to) from None
        raise _unreadable(text, to) from None
    if to.name == "DATE":
        return moment.date()
    if not to.name.endswith("ZONE"):
        return moment.replace(tzinfo=None)  # as DuckDB drops an offset
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _between_times(of: SqlType, to: SqlType) -> Callable[[Any], Any]:
    """All sessions run at UTC, so a zone is only added or dropped."""
    if to.name == "DATE":
        return lambda value: value.date()
    zone = UTC if to.name.endswith("ZONE") else None
    if of.name == "DATE":
        return lambda value: datetime.combine(value, time(), zone)
    return lambda value: value.replace(tzinfo=zone)
