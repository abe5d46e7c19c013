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


def parse_duration(
    text: object, *, field: str = "", where: Location | str, example: str = "7 days"
) -> timedelta:
    """``7 days``, ``90 minutes`` or ``6h``.

    Args:
        field: what holds it, where ``where`` does not say so by itself.
        example: what the hint shows.

    Raises:
        SpecError: it is none; months and years have no fixed length.
    """
    said = f"{field} is {text!r}, which is " if field else f"{text!r} is "
    match = re.fullmatch(PATTERN, str(text).lower())
    unit = SECONDS.get(match[2]) if match else None
    if match is None or unit is None:
        raise SpecError(
            f"{said}not a duration",
            where=where,
            hint=f"write a whole number of seconds, minutes, hours, days or weeks, such as {example}",
        )
    try:
        return timedelta(seconds=int(match[1]) * unit)
    except OverflowError:
        raise SpecError(
            f"{said}longer than time is counted here",
            where=where,
            hint=f"write at most {timedelta.max.days} days",
        ) from None


def duration_text(seconds: float | None) -> str | None:
    """A length of time in seconds as it is written in YAML: ``7 days``; None for None."""
    if seconds is None:
        return None
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
        if seconds % size == 0:
            number = int(seconds // size)
            return f"{number} {unit if number != 1 else unit[:-1]}"
    return str(timedelta(seconds=seconds))
