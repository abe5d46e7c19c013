"""What a statement asks of the session it runs in and of its instant, before it answers.

Dates, days and naive timestamps are read in the session's time zone, and the law holds at UTC.
Both tests are constants to DuckDB: they cost nothing. Trino and Spark test the zone too.
"""

from __future__ import annotations

from feature_specs.time_zones import UTC_NAMES


def at_utc() -> str:
    """SQL that is true, or raises if the session's time zone is not UTC."""
    zones = ", ".join(f"'{zone}'" for zone in UTC_NAMES)
    return (
        f"case when not lower(current_setting('TimeZone')) in ({zones}) then cast(error("
        "'the session''s time zone is ' || current_setting('TimeZone') || "
        "', but features are computed at UTC. Hint: set time zone ''UTC''') as boolean) "
        "else true end"
    )


def known_instant(parameter: str = "$as_of") -> str:
    """SQL of a parameter as an instant, which raises if it is null."""
    return (
        f"coalesce(cast({parameter} as timestamptz), cast(error('the instant {parameter[1:]} is null. "
        "Hint: give an instant, such as datetime(2024, 1, 1, tzinfo=UTC)') as timestamptz))"
    )


def guarded(select: str) -> str:
    """The query behind a check of the session, which runs even if no row is found."""
    return f"{select} where (select {at_utc()})"
