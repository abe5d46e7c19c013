"""Parts, differences and truncation of dates and moments, all at UTC."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from feature_specs.instants import epoch_us, from_epoch_us
from serving.read_time.casts import convert
from serving.read_time.typed import (
    BIGINT,
    DATE,
    DOUBLE,
    INTERVAL,
    NULL,
    TIMESTAMP,
    TIMESTAMPTZ,
    Typed,
    binary,
    fault,
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
    "isoyear": lambda t: t.isocalendar()[0],
    "yearweek": lambda t: t.isocalendar()[0] * 100 + t.isocalendar()[1],
    "millisecond": lambda t: t.second * 1000 + t.microsecond // 1000,
    "microsecond": lambda t: t.second * 1_000_000 + t.microsecond,
}

#: Of the time between two instants: what each part counts up to, and its unit.
_SPAN_PARTS: dict[str, tuple[str | None, str]] = {
    "day": (None, "day"),
    "hour": ("day", "hour"),
    "minute": ("hour", "minute"),
    "second": ("minute", "second"),
    "millisecond": ("minute", "millisecond"),
    "microsecond": ("minute", "microsecond"),
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
        return unary(BIGINT, lambda d: toward_zero(d // _MICROSECOND, 1000), arg)
    return unary(BIGINT, _nearest_millisecond, _microseconds(arg))


def extract(part: str, arg: Typed) -> Typed:
    if arg.type == INTERVAL:
        return _part_of_span(part, arg)
    function = _PARTS.get(part)
    if function is None:
        raise refuse(f"extract({part})", f"use one of {', '.join(_PARTS)}")
    return unary(BIGINT, function, as_moment(arg))


def _part_of_span(part: str, arg: Typed) -> Typed:
    """Days, and what is left of them. Only a difference of instants has its hours in days."""
    if arg.made_of is None:
        raise refuse(
            "a part of an interval that is not a difference of two instants",
            "use epoch() or date_diff",
        )
    if part not in _SPAN_PARTS:
        raise refuse(
            f"{part} of a difference of instants",
            f"use one of {', '.join(_SPAN_PARTS)}, or a part of age(), which counts months",
        )
    within, name = _SPAN_PARTS[part]
    unit = FIXED_US[name]

    def count(span: timedelta) -> int:
        us = span // _MICROSECOND
        if within is not None:
            us -= toward_zero(us, FIXED_US[within]) * FIXED_US[within]
        return toward_zero(us, unit)

    return unary(BIGINT, count, arg)


def last_day(args: Sequence[Typed]) -> Typed:
    """The last date of the month."""
    return unary(
        DATE, lambda t: date(t.year, t.month, monthrange(t.year, t.month)[1]), as_moment(args[0])
    )


def make_date(args: Sequence[Typed]) -> Typed:
    year, month, day = (_whole(a) for a in args)
    pairs = binary(DATE, lambda y, m: (y, m), year, month)

    def made(pair: tuple[int, int], d: int) -> date:
        try:
            return date(*pair, d)
        except (ValueError, OverflowError):
            raise fault(f"there is no date {pair[0]}-{pair[1]}-{d}") from None

    return binary(DATE, made, pairs, day)


def to_timestamp(args: Sequence[Typed]) -> Typed:
    """The instant so many seconds after 1970, to the nearest microsecond."""
    (arg,) = args
    if not (arg.type.is_numeric or arg.type == NULL):
        raise refuse(f"to_timestamp of a {arg.type}", "cast it to double first")

    def moment(seconds: float) -> datetime:
        try:
            return from_epoch_us(round(seconds * 1e6))
        except (OverflowError, ValueError):
            raise fault(f"{seconds} seconds give a time out of range") from None

    return unary(TIMESTAMPTZ, moment, convert(arg, DOUBLE))


def _whole(arg: Typed) -> Typed:
    if not (arg.type.is_integer or arg.type == NULL):
        raise refuse(f"make_date of a {arg.type}", "cast it to bigint first")
    return convert(arg, BIGINT)


def date_trunc(part: str, arg: Typed) -> Typed:
    function = _TRUNCATED.get(part)
    if function is None:
        raise refuse(f"date_trunc({part})", f"use one of {', '.join(_TRUNCATED)}")
    moment = as_moment(arg)
    return unary(moment.type, function, moment)


def date_diff(part: str, a: Typed, b: Typed) -> Typed:
    """How many boundaries of the part lie between a and b."""
    common = unify([as_moment(a), as_moment(b)])
    first, last = convert(a, common), convert(b, common)
    if part == "week":
        # Not the boundaries of weeks: whole spans of seven days, from day to day.
        day = _counter("day")
        return binary(BIGINT, lambda x, y: toward_zero(day(y) - day(x), 7), first, last)
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
        return lambda t: epoch_us(aware(t)) // unit
    raise refuse(
        f"date_diff({part})", f"use one of year, quarter, month, week, {', '.join(FIXED_US)}"
    )


def _microseconds(arg: Typed) -> Typed:
    return unary(BIGINT, lambda t: epoch_us(aware(t)), as_moment(arg))


def as_moment(arg: Typed) -> Typed:
    if arg.type == NULL:
        return Typed(TIMESTAMP, arg.run)
    if not arg.type.is_temporal:
        raise refuse(f"a part of a {arg.type}", "cast it to a timestamp first")
    return arg if arg.type in (TIMESTAMP, TIMESTAMPTZ) else convert(arg, TIMESTAMP)


def aware(value: Any) -> datetime:
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


def toward_zero(value: int, unit: int) -> int:
    return value // unit if value >= 0 else -(-value // unit)
