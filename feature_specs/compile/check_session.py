"""What a statement asks of the session it runs in and of its instant, before it answers.

Dates, days and naive timestamps are read in the session's time zone, and the law holds at UTC.
Both tests are constants to DuckDB: they cost nothing.
"""

from __future__ import annotations

#: What DuckDB calls zones that are UTC at every instant.
_UTC = (
    "utc", "etc/utc", "gmt", "etc/gmt", "gmt0", "etc/gmt0", "etc/gmt+0", "etc/gmt-0", "greenwich",
    "etc/greenwich", "uct", "etc/uct", "universal", "etc/universal", "zulu", "etc/zulu",
)  # fmt: skip


def at_utc() -> str:
    """SQL that is true, or raises where the session's time zone is another than UTC."""
    zones = ", ".join(f"'{zone}'" for zone in _UTC)
    return (
        f"case when not lower(current_setting('TimeZone')) in ({zones}) then cast(error("
        "'the session''s time zone is ' || current_setting('TimeZone') || "
        "', but features are computed at UTC. Hint: set TimeZone = ''UTC''') as boolean) "
        "else true end"
    )


def known_instant(parameter: str = "$as_of") -> str:
    """SQL of a parameter as an instant, or raises where it is null."""
    return (
        f"coalesce(cast({parameter} as timestamptz), cast(error('the instant {parameter[1:]} is null. "
        "Hint: give an instant, such as datetime(2024, 1, 1, tzinfo=UTC)') as timestamptz))"
    )


def guarded(select: str) -> str:
    """A query, behind a look at the session that comes first even where no row is found."""
    return f"{select} where (select {at_utc()})"
