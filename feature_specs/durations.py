"""Durations as people write them in YAML."""

from __future__ import annotations

import re
from datetime import timedelta

from feature_specs.errors import Location, SpecError

_UNITS = {
    "second": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86400, "week": 604800,
    "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800,
}  # fmt: skip


def parse_duration(text: object, *, field: str, where: Location | str) -> timedelta:
    """``7 days``, ``90 minutes`` or ``6h``.

    Raises:
        SpecError: it is none; months and years have no fixed length.
    """
    match = re.fullmatch(r"\s*(\d+)\s*([a-z]+?)s?\s*", str(text).lower())
    word = match[2] if match else ""
    unit = _UNITS.get(word) or _UNITS.get(word + "s")
    if match is None or unit is None:
        raise SpecError(
            f"{field} is {text!r}, which is no duration",
            where=where,
            mend="write a whole number of seconds, minutes, hours, days or weeks: 7 days",
        )
    return timedelta(seconds=int(match[1]) * unit)
