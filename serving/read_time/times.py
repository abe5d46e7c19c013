"""Parts, differences and truncation of dates and moments, all at UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from serving.keys import epoch_us
from serving.read_time.casts import convert
from serving.read_time.typed import (
    BIGINT,
    DOUBLE,
    INTERVAL,
    NULL,
    TIMESTAMP,
    TIMESTAMPTZ,
    Typed,
    binary,
    refuse,
    unary,
    unify,
)

_MICROSECOND = timedelta(microseconds=1)

#: Microseconds in the units that all have one length.
FIXED_US: dict[str, int] = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}

_PARTS: dict[str, Callable[[datetime], int]] = {
    "year": lambda t: t.year,
    "quarter": lambda t: (t.month + 2) // 3,
    "month": lambda t: t.month,
    "week": lambda t: t.isocalendar()[1],
    "day": lambda t: t.day,
    "hour": lambda t: t.hour,
    "minute": lambda t: t.minute,
    "second": lambda t: t.second,
    "dow": lambda t: t.isoweekday() % 7,
    "isodow": lambda t: t.isoweekday(),
    "doy": lambda t: t.timetuple().tm_yday,
}

_TRUNCATED: dict[str, Callable[[datetime], datetime]] = {
    "year": lambda t: _midnight(t).replace(month=1, day=1),
    "quarter": lambda t: _midnight(t).replace(month=(t.month - 1) // 3 * 3 + 1, day=1),
    "month": lambda t: _midnight(t).replace(day=1),
    "week": lambda t: _midnight(t) - timedelta(days=t.weekday()),
    "day": lambda t: _midnight(t),
    "hour": lambda t: t.replace(minute=0, second=0, microsecond=0),
    "minute": lambda t: t.replace(second=0, microsecond=0),
    "second": lambda t: t.replace(microsecond=0),
    "millisecond": lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000),
    "microsecond": lambda t: t,
}


#: What each operator takes for a part.
PARTS: dict[str, frozenset[str]] = {
    "extract": frozenset(_PARTS),
    "date_trunc": frozenset(_TRUNCATED),
    "date_diff": frozenset({"year", "quarter", "month", "week", *FIXED_US}),
}


def epoch(arg: Typed) -> Typed:
    """Seconds as a double."""
    if arg.type == INTERVAL:
        return unary(DOUBLE, lambda d: (d // _MICROSECOND) / 1e6, arg)
    # DuckDB adds the parts for a moment with a zone, which may differ in the last bit.
    seconds = _zoned_seconds if arg.type == TIMESTAMPTZ else _seconds
    return unary(DOUBLE, seconds, _microseconds(arg))


def epoch_micros(arg: Typed) -> Typed:
    if arg.type == INTERVAL:
        return unary(BIGINT, lambda d: d // _MICROSECOND, arg)
    return _microseconds(arg)


def epoch_millis(arg: Typed) -> Typed:
    if arg.type == INTERVAL:
        return unary(BIGINT, lambda d: _toward_zero(d // _MICROSECOND, 1000), arg)
    return unary(BIGINT, _nearest_millisecond, _microseconds(arg))


def extract(part: str, arg: Typed) -> Typed:
    function = _PARTS.get(part)
    if function is None:
        raise refuse(f"extract({part})", f"use one of {', '.join(_PARTS)}")
    return unary(BIGINT, function, _moment(arg))


def date_trunc(part: str, arg: Typed) -> Typed:
    function = _TRUNCATED.get(part)
    if function is None:
        raise refuse(f"date_trunc({part})", f"use one of {', '.join(_TRUNCATED)}")
    moment = _moment(arg)
    return unary(moment.type, function, moment)


def date_diff(part: str, a: Typed, b: Typed) -> Typed:
    """How many boundaries of the part lie between a and b."""
    common = unify([_moment(a), _moment(b)])
    first, last = convert(a, common), convert(b, common)
    if part == "week":
        # Not the boundaries of weeks: whole spans of seven days, from day to day.
        day = _counter("day")
        return binary(BIGINT, lambda x, y: _toward_zero(day(y) - day(x), 7), first, last)
    count = _counter(part)
    return binary(BIGINT, lambda x, y: count(y) - count(x), first, last)


def _counter(part: str) -> Callable[[datetime], int]:
    if part == "year":
        return lambda t: t.year
    if part == "quarter":
        return lambda t: t.year * 4 + (t.month - 1) // 3
    if part == "month":
        return lambda t: t.year * 12 + t.month
    if part in FIXED_US:
        unit = FIXED_US[part]
        return lambda t: epoch_us(_aware(t)) // unit
    raise refuse(
        f"date_diff({part})", f"use one of year, quarter, month, week, {', '.join(FIXED_US)}"
    )


def _microseconds(arg: Typed) -> Typed:
    return unary(BIGINT, lambda t: epoch_us(_aware(t)), _moment(arg))


def _moment(arg: Typed) -> Typed:
    if arg.type == NULL:
        return Typed(TIMESTAMP, arg.run)
    if not arg.type.is_temporal:
        raise refuse(f"a part of a {arg.type}", "cast it to a timestamp first")
    return arg if arg.type in (TIMESTAMP, TIMESTAMPTZ) else convert(arg, TIMESTAMP)


def _aware(value: Any) -> datetime:
    moment: datetime = value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _midnight(value: datetime) -> datetime:
    return value.replace(hour=0, minute=0, second=0, microsecond=0)


def _seconds(us: int) -> float:
    return us / 1e6


def _zoned_seconds(us: int) -> float:
    return us // 1000 / 1000.0 + us % 1000 / 1e6


def _nearest_millisecond(us: int) -> int:
    """Halves away from zero, as DuckDB rounds moments, though not intervals."""
    return (us + 500) // 1000 if us >= 0 else -((500 - us) // 1000)


def _toward_zero(value: int, unit: int) -> int:
    return value // unit if value >= 0 else -(-value // unit)
