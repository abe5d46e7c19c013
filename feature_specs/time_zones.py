"""Names of time zones, as DuckDB knows them: the time zone database's, ICU's own, and offsets."""

from __future__ import annotations

import re
from functools import lru_cache
from zoneinfo import available_timezones

from feature_specs.errors import SpecError, did_you_mean

#: What engines call zones that are UTC at every instant, in lower case.
UTC_NAMES = (
    "z", "+00:00", "-00:00", "utc+0", "utc+00:00",
    "utc", "etc/utc", "gmt", "etc/gmt", "gmt0", "etc/gmt0", "etc/gmt+0", "etc/gmt-0", "greenwich",
    "etc/greenwich", "uct", "etc/uct", "universal", "etc/universal", "zulu", "etc/zulu",
)  # fmt: skip

#: What every DuckDB session of ours is set to.
SESSION_AT_UTC = "set timezone = 'UTC'"

#: ICU's names beyond the time zone database's.
_OF_ICU = frozenset({
    "act", "aet", "agt", "art", "ast", "bet", "bst", "cat", "cnt", "cst", "ctt", "eat", "ect",
    "iet", "ist", "jst", "mit", "net", "nst", "plt", "pnt", "prt", "pst", "sst", "vst",
    "canada/east-saskatchewan", "us/pacific-new",
    "systemv/ast4", "systemv/ast4adt", "systemv/cst6", "systemv/cst6cdt", "systemv/est5",
    "systemv/est5edt", "systemv/hst10", "systemv/mst7", "systemv/mst7mdt", "systemv/pst8",
    "systemv/pst8pdt", "systemv/yst9", "systemv/yst9ydt",
})  # fmt: skip
_OFFSET = re.compile(r"(gmt|utc|ut)[+-]\d{1,2}(:?\d{2}){0,2}", re.IGNORECASE)


def is_utc(zone: str) -> bool:
    """Whether a zone is UTC at every instant.

    >>> is_utc("Etc/GMT"), is_utc("Europe/London")
    (True, False)
    """
    return zone.lower() in UTC_NAMES


@lru_cache(maxsize=1)
def _known() -> dict[str, str]:
    """Names in lower case to the names; empty where the machine has no time zone database."""
    return {name.lower(): name for name in available_timezones()}


def check_zone(name: object, *, where: str) -> None:
    """Raises SpecError where no time zone has that name; case does not matter."""
    known = _known()
    if isinstance(name, str):
        low = name.lower()
        if low in known or low in _OF_ICU or _OFFSET.fullmatch(name) or (name and not known):
            return
    raise SpecError(
        f"there is no time zone {name!r}",
        where=where,
        hint="write a zone's name, as in UTC or Europe/Berlin; "
        + did_you_mean(str(name), known.values()),
    )
