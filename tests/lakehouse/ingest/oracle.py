"""What a text means as a value of a type, by Python's own numbers and calendars; no SQL."""

from __future__ import annotations

import ctypes
import json
import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume

Value = str | int | float | bool | Decimal | date | datetime | None

_RANGES = {"INTEGER": 31, "BIGINT": 63}
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


REFUSED = object()


class RefusedError(Exception):
    """The value is not one of the type, or would not be the same."""


def arrives(text: str | None, kind: str, zone: str | None = None, up: bool = True) -> Value:
    """The value of a text in a column of a DuckDB type. Raises RefusedError."""
    if text is None or kind == "VARCHAR":
        return text
    if kind in _RANGES:
        return _integer(text, _RANGES[kind])
    if kind in ("DOUBLE", "FLOAT"):
        return _float(text, kind)
    if kind.startswith("DECIMAL"):
        digits, scale = map(int, kind[8:-1].split(","))
        return _decimal(text, digits, scale)
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false"):
            raise RefusedError
        return text.lower() == "true"
    if kind == "DATE":
        return _date(text)
    return _time(text, kind == "TIMESTAMP WITH TIME ZONE", zone, up)


def value_or_refused(text: str | None, kind: str, zone: str | None = None) -> Value | object:
    """The same, and REFUSED instead of an error."""
    try:
        return arrives(text, kind, zone)
    except RefusedError:
        return REFUSED


def json_scalar(value: Any, kind: str) -> Any:
    """What a JSON value without parts is in a column of a type; REFUSED where it would change."""
    if value is None:
        return None
    if kind == "BOOLEAN" or isinstance(value, bool):
        return value if kind == "BOOLEAN" and isinstance(value, bool) else REFUSED
    if kind == "VARCHAR":
        return value if isinstance(value, str) else REFUSED
    if isinstance(value, str):
        return value_or_refused(value, kind)
    if kind.startswith(("DATE", "TIME")):
        return REFUSED
    return value_or_refused(json.dumps(value), kind)


def _integer(text: str, bits: int) -> int:
    if not re.fullmatch(r"[+-]?\d+(\.0*)?", text, re.ASCII):
        raise RefusedError
    number = int(text.split(".")[0])
    if not -(2**bits) <= number < 2**bits:
        raise RefusedError
    return number


def _float(text: str, kind: str) -> float:
    if text.lower().lstrip("+-") in ("inf", "infinity") or text.lower() == "nan":
        return float(text)
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        raise RefusedError
    number = float(text) if kind == "DOUBLE" else nearest_single(text)
    if math.isinf(number):
        raise RefusedError
    if re.fullmatch(r"[+-]?\d+", text) and (
        int(number) != int(text) or not -(2**127) <= int(text) < 2**127
    ):
        raise RefusedError
    return number


def nearest_single(text: str) -> float:
    """The FLOAT nearest to a decimal number, ties to the even one."""
    exact, near = Fraction(text), ctypes.c_float(float(text)).value
    if math.isinf(near) or near == 0:
        return near
    bits = ctypes.c_uint32.from_buffer(ctypes.c_float(near)).value
    around = [
        ctypes.c_float.from_buffer(ctypes.c_uint32(b)).value for b in (bits - 1, bits, bits + 1)
    ]
    finite = [(abs(Fraction(f) - exact), b % 2, f) for b, f in enumerate(around, bits - 1)
              if math.isfinite(f)]  # fmt: skip
    return min(finite)[2]


def _decimal(text: str, digits: int, scale: int) -> Decimal:
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d*)", text, re.ASCII) or text in ("", "."):
        raise RefusedError
    if not any(c.isdigit() for c in text):
        raise RefusedError
    shifted = Fraction(text if text[-1] != "." else text[:-1]) * 10**scale
    if shifted.denominator != 1 or abs(shifted) >= 10**digits:
        raise RefusedError
    return Decimal(int(shifted)).scaleb(-scale)


def _date(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise RefusedError
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RefusedError from None


def _time(text: str, instant: bool, zone: str | None, up: bool) -> datetime:
    found = _TIME.fullmatch(text)
    if found is None:
        raise RefusedError
    *parts, fraction, offset = found.groups()
    if instant == (offset is None) and not (instant and zone):
        raise RefusedError
    try:
        local = datetime(*(int(p or 0) for p in parts))  # type: ignore[arg-type]
    except ValueError:
        raise RefusedError from None
    digits = (fraction or "").ljust(6, "0")
    local += timedelta(microseconds=int(digits[:6]))
    if up and int(digits[6:] or 0):
        local += timedelta(microseconds=1)
    if not instant:
        return local
    if offset is None:
        return _in_zone(local, str(zone))
    return local.replace(tzinfo=_offset(offset)).astimezone(UTC)


def _offset(text: str) -> timezone:
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise RefusedError
    by = timedelta(hours=hours, minutes=minutes)
    return timezone(-by if text[0] == "-" else by)


def _in_zone(local: datetime, zone: str) -> datetime:
    """The later instant of a time that comes twice; none of one that never comes."""
    try:
        there = local.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC)
    except OverflowError:  # before year 1 in UTC, which Python's datetime lacks
        assume(False)
        raise
    if there.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local:
        raise RefusedError
    return there
