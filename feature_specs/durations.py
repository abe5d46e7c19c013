"""Durations as people write them in YAML, in options and in Python."""

from __future__ import annotations

import re
from datetime import timedelta

from feature_specs.errors import Location, SpecError

#: Every word that is read, in lower case. A word that is not here is refused: ``ms``, ``mon``.
SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("w", "week", "weeks"), 604800),
}

#: A number and a word, of a text in lower case; dbt's macros read durations by it too.
PATTERN = r"\s*([0-9]+)\s*([a-z]+)\s*"


def parse_duration(text: object, *, field: str, where: Location | str) -> timedelta:
    """``7 days``, ``90 minutes`` or ``6h``.

    Raises:
        SpecError: it is none; months and years have no fixed length.
    """
    match = re.fullmatch(PATTERN, str(text).lower())
    unit = SECONDS.get(match[2]) if match else None
    if match is None or unit is None:
        raise SpecError(
            f"{field} is {text!r}, which is no duration",
            where=where,
            mend="write a whole number of seconds, minutes, hours, days or weeks: 7 days",
        )
    try:
        return timedelta(seconds=int(match[1]) * unit)
    except OverflowError:
        raise SpecError(
            f"{field} is {text!r}, which is longer than time is counted here",
            where=where,
            mend=f"write at most {timedelta.max.days} days",
        ) from None
