"""How long a table's rows are kept, and whether a view reads further back than that.

Months and years are counted as their longest, so that no row goes before its time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from feature_specs.durations import PATTERN, duration_text, parse_duration
from feature_specs.errors import Location, SpecError
from feature_specs.instants import DAY_US

_MONTHS = {
    **dict.fromkeys(("month", "months"), 1),
    **dict.fromkeys(("year", "years"), 12),
}


@dataclass(frozen=True)
class Retention:
    """What may be removed of a table: rows whose every one of some times lies that far back.

    Attributes:
        columns: names of the time columns.
        keep_us: how long rows are kept, in microseconds.
    """

    columns: tuple[str, ...]
    keep_us: int


def most_days(months: int) -> int:
    """The days that so many months have at most.

    >>> most_days(1), most_days(12), most_days(38)
    (31, 366, 1160)
    """
    return months // 12 * 366 + months % 12 * 31


def parse_retention(text: object, *, field: str, where: Location | str) -> timedelta:
    """``3 years``, ``6 months``, ``90 days`` or whatever else is a duration.

    Raises:
        SpecError: it is none, or shorter than a day.
    """
    match = re.fullmatch(PATTERN, str(text).lower())
    if match is not None and match[2] in _MONTHS:
        days = most_days(int(match[1]) * _MONTHS[match[2]])
        if days <= timedelta.max.days:
            return _at_least_a_day(timedelta(days=days), text, field, where)
    kept = parse_duration(text, field=field, where=where, example="3 years")
    return _at_least_a_day(kept, text, field, where)


def _at_least_a_day(kept: timedelta, text: object, field: str, where: Location | str) -> timedelta:
    if kept < timedelta(days=1):
        raise SpecError(
            f"{field} is {text!r}, and rows are kept for a day at least",
            where=where,
            hint="write a longer one, such as 30 days",
        )
    return kept


def check_retention(
    view: str, where: str, kept: Mapping[str, Retention], reach: Mapping[str, int]
) -> None:
    """Refuse a view that reads further back than a table keeps its rows.

    Args:
        where: the view's file.
        kept: by name, the leaves whose rows are removed.
        reach: how far back of its instant the view reads of each leaf, in microseconds; none where
            it may read all of a leaf's past.

    Raises:
        SpecError: it does.
    """
    for name, retention in kept.items():
        back = reach.get(name)
        if back is not None and back <= retention.keep_us:
            continue
        far = "all the past" if back is None else f"{_text(-(-back // 1_000_000))} back"
        bound = (
            f"bound it where the table is read, as in `where {retention.columns[0]} > "
            f"current_timestamp - interval '{retention.keep_us // DAY_US}' day`"
        )
        raise SpecError(
            f"feature view {view!r} reads {far} of {name}, which keeps its rows for "
            f"{_text(retention.keep_us // 1_000_000)} (meta.retention): its values would change "
            "when older ones are removed",
            where=where,
            hint=f"{bound}, or keep rows longer"
            + ("; a history view may have a ttl instead" if back is None else ""),
        )


def _text(seconds: int) -> str:
    return str(duration_text(seconds))
