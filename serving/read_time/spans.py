"""The time between two instants in whole units, by the calendar: AGE and DATE_SUB."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import NamedTuple

from feature_specs.instants import epoch_us
from serving.read_time.casts import convert
from serving.read_time.times import FIXED_US, as_moment, aware, toward_zero
from serving.read_time.typed import BIGINT, TIMESTAMPTZ, Typed, binary, fault, refuse, unify

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAY_US = FIXED_US["day"]


class Age(NamedTuple):
    """An interval as DuckDB keeps it; all parts have one sign."""

    months: int
    days: int
    us: int


_AGE_PARTS: dict[str, Callable[[Age], int]] = {
    "year": lambda age: toward_zero(age.months, 12),
    "month": lambda age: _rest(age.months, 12),
    "day": lambda age: age.days,
    "hour": lambda age: toward_zero(age.us, FIXED_US["hour"]),
    "minute": lambda age: toward_zero(_rest(age.us, FIXED_US["hour"]), FIXED_US["minute"]),
    "second": lambda age: toward_zero(_rest(age.us, FIXED_US["minute"]), FIXED_US["second"]),
}

#: The parts of an age, and the units of date_sub.
PARTS: dict[str, frozenset[str]] = {
    "age_part": frozenset(_AGE_PARTS),
    "date_sub": frozenset({*_MONTHS, "week", *FIXED_US}),
}


def age_part(part: str, a: Typed, b: Typed) -> Typed:
    """``date_part(part, age(a, b))``: of the years, months, days and time from b to a."""
    function = _AGE_PARTS.get(part)
    if function is None:
        raise refuse(f"{part} of an age", f"use one of {', '.join(_AGE_PARTS)}")
    first, last, _ = _moments(a, b)
    return binary(BIGINT, lambda x, y: function(age(x, y)), first, last)


def date_sub(part: str, a: Typed, b: Typed) -> Typed:
    """How many whole units lie between a and b; negative where b is the earlier."""
    if part not in PARTS["date_sub"]:
        raise refuse(f"date_sub({part})", f"use one of {', '.join(sorted(PARTS['date_sub']))}")
    first, last, zoned = _moments(a, b)
    # DuckDB counts moments with a zone by ICU's calendar, which knows milliseconds.
    if part in _MONTHS:
        step, months = _MONTHS[part], _icu_months if zoned else _months
        return binary(BIGINT, lambda x, y: months(x, y, step), first, last)
    unit = FIXED_US["day"] * 7 if part == "week" else FIXED_US[part]
    between = _icu_us if zoned and part in ("week", "day", "hour") else _exact_us
    return binary(BIGINT, lambda x, y: toward_zero(between(x, y), unit), first, last)


def age(last: datetime, first: datetime) -> Age:
    """PostgreSQL's ``age``: field by field, borrowing days from the month of the earlier instant."""
    negative = last < first
    later, earlier = (first, last) if negative else (last, first)
    years, months = later.year - earlier.year, later.month - earlier.month
    days = later.day - earlier.day
    us = _of_day(later) - _of_day(earlier)
    if us < 0:
        us, days = us + _DAY_US, days - 1
    if days < 0:
        # Both directions borrow from the month of the first field that was taken away from.
        lender = last if negative else first
        days, months = days + monthrange(lender.year, lender.month)[1], months - 1
    total = years * 12 + months
    return Age(-total, -days, -us) if negative else Age(total, days, us)


def _months(first: datetime, last: datetime, step: int) -> int:
    if first > last:
        return -_months(last, first, step)
    end = monthrange(last.year, last.month)[1]
    if last.day == end and (first.day, _of_day(last)) > (end, _of_day(first)):
        # A start on a day that the last month does not have counts from that month's end.
        first = first.replace(day=end)
    return toward_zero(age(last, first).months, step)


def _icu_months(first: datetime, last: datetime, step: int) -> int:
    """The most whole steps from the first that do not pass the last."""
    start, target = _start_ms(first), _target_ms(last)
    # In quarters DuckDB counts months, and in years years.
    unit = 12 if step == 12 else 1
    count = (target.year - start.year) * 12 + target.month - start.month
    count = toward_zero(count, unit)
    sign = 1 if start <= target else -1
    if sign * _compared(start, count * unit, target) > 0:
        count -= sign
    return count if unit == step else toward_zero(count, step)


def _compared(start: datetime, months: int, target: datetime) -> int:
    """-1, 0 or 1 as the start so many months later is before, at or after the target."""
    number = start.year * 12 + start.month - 1 + months
    year, month = divmod(number, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    moved = (year, month + 1, day, _of_day(start))
    goal = (target.year, target.month, target.day, _of_day(target))
    return (moved > goal) - (moved < goal)


def _icu_us(first: datetime, last: datetime) -> int:
    return _exact_us(_start_ms(first), _target_ms(last))


def _exact_us(first: datetime, last: datetime) -> int:
    return epoch_us(aware(last)) - epoch_us(aware(first))


def _start_ms(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1000)


def _target_ms(moment: datetime) -> datetime:
    cut = _start_ms(moment)
    # Toward the epoch, not toward the past.
    before_epoch = moment.date() < date(1970, 1, 1)
    return cut + timedelta(milliseconds=1) if before_epoch and cut != moment else cut


def _of_day(moment: datetime) -> int:
    return (
        (moment.hour * 60 + moment.minute) * 60 + moment.second
    ) * 1_000_000 + moment.microsecond


def _rest(value: int, unit: int) -> int:
    return value - toward_zero(value, unit) * unit


def _moments(a: Typed, b: Typed) -> tuple[Typed, Typed, bool]:
    common = unify([as_moment(a), as_moment(b)])
    return convert(a, common), convert(b, common), common == TIMESTAMPTZ


def add_months(months: int, arg: Typed) -> Typed:
    """A moment so many months later; a day that the month does not have becomes its last."""
    moment = as_moment(arg)

    def moved(start: datetime) -> datetime:
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        if not 1 <= year <= 9999:
            raise fault(f"{start.isoformat()} and {months} months give a time out of range")
        day = min(start.day, monthrange(year, month + 1)[1])
        return start.replace(year=year, month=month + 1, day=day)

    return Typed(
        moment.type,
        lambda row, clock, request: (
            None if (value := moment.run(row, clock, request)) is None else moved(value)
        ),
    )
