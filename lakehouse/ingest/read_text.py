"""SQL that reads a text as a value of a type, or as null where the value would not be the same.

A number is the same where it is equal; as a DOUBLE or FLOAT a fraction is the nearest one, while a
whole number must be exact. Dates and times are ISO 8601. Finer than a microsecond rounds up, so that
nothing is visible too early.
"""

from __future__ import annotations

import re
from typing import Literal

from feature_specs.quote import literal
from feature_specs.sql_types import SIGNED, UNSIGNED

#: Which way times finer than a microsecond go: up on leaves, down on a spine.
Rounding = Literal["up", "down"]

INSTANT = "TIMESTAMP WITH TIME ZONE"
INTEGERS = (*SIGNED, *UNSIGNED[:-1])

DATE = r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])-\d\d-\d\d"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
LOCAL = rf"{DATE}[T ]{_CLOCK}"
_OFFSET = r"(?:Z|[+-](?:0\d|1\d|2[0-3])(?::?[0-5]\d)?)"
ZONED = rf"{LOCAL}{_OFFSET}"
_WHOLE = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
#: A number as a new table takes it for one: no leading zeros, no plus sign.
PLAIN_NUMBER = r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_NO_NUMBERS = "'nan', 'inf', '+inf', '-inf', 'infinity', '+infinity', '-infinity'"


def read_text(text: str, target: str, timezone: str | None, rounding: Rounding) -> str | None:
    """SQL of a text's value; null if the text is null or not such a value. None: no such type.

    Args:
        text: SQL of the text.
        target: a DuckDB type.
        timezone: the zone of times that have none; without it an instant needs its offset.
    """
    if target in INTEGERS:
        return _integer(text, target)
    match target:
        case "VARCHAR":
            return text
        case "JSON":
            return f"case when json_valid({text}) then {text} end"
        case "BOOLEAN":
            return f"case lower({text}) when 'true' then true when 'false' then false end"
        case "DOUBLE" | "FLOAT":
            return _float(text, target)
        case "DATE":
            return f"case when {matches(text, DATE)} then try_cast({text} as date) end"
        case "TIME":
            clock = _CLOCK.replace(r"\d+)", r"\d{1,6}0*)")
            return f"case when {matches(text, clock)} then try_cast({text} as time) end"
        case "UUID":
            return (
                f"case when try_cast({text} as uuid)::varchar = lower({text}) then {text}::uuid end"
            )
        case "TIMESTAMP":
            return _local(text, rounding)
        case "TIMESTAMP WITH TIME ZONE":
            return _instant(text, timezone, rounding)
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", target)
    return None if decimal is None else _decimal(text, target, int(decimal[2]))


def cast_text(text: str, target: str, rounding: Rounding) -> str:
    """SQL of the same value, of a text that is known to be one of the type: only its cast."""
    if target not in (INSTANT, "TIMESTAMP"):
        return f"cast({text} as {target})"
    return _rounded(text, f"cast({text} as {target})", rounding)


def matches(text: str, pattern: str) -> str:
    """SQL: whether the whole text is of a pattern."""
    return f"regexp_full_match({text}, {literal(pattern)})"


def in_zone(local: str, timezone: str) -> str:
    """SQL of a local time's instant, null in the gap where clocks go forward.

    Of a time that comes twice it is the later instant, so that nothing is visible too early.
    """
    zone = literal(timezone)
    there = f"timezone({zone}, {local})"
    return f"case when timezone({zone}, {there}) = {local} then {there} end"


def _integer(text: str, target: str) -> str:
    cast = f"try_cast({text} as {target})"
    whole = f"try_cast(regexp_replace({text}, '[.]0*$', '') as {target})"
    return (
        f"case when {cast}::varchar = {text} then {cast} "
        f"when {matches(text, _WHOLE + '(?:[.]0*)?')} then {whole} end"
    )


def _float(text: str, target: str) -> str:
    cast = f"try_cast({text} as {target})"
    most = 15 if target == "DOUBLE" else 7
    return (
        f"case when {matches(text, _WHOLE + '(?:[.]0*)?')} then case when length({text}) <= {most} "
        f"or try_cast({cast} as hugeint) = try_cast({text} as hugeint) then {cast} end "
        f"when {matches(text, _NUMBER)} then case when isfinite({cast}) then {cast} end "
        f"when lower({text}) in ({_NO_NUMBERS}) then {cast} end"
    )


def _decimal(text: str, target: str, scale: int) -> str:
    pattern = rf"[+-]?(?:[0-9]+(?:\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{0,{scale}}}0*)"
    return f"case when {matches(text, pattern)} then try_cast({text} as {target}) end"


def _local(text: str, rounding: Rounding) -> str:
    cast = f"try_cast({text} as timestamp)"
    return f"case when {matches(text, LOCAL)} then {_rounded(text, cast, rounding)} end"


def _instant(text: str, timezone: str | None, rounding: Rounding) -> str:
    cast = f"try_cast({text} as timestamptz)"
    # An offset can take a time out of the years 1 to 9999, in which Iceberg's readers live.
    lived = f"{cast} between '0001-01-01 00:00Z' and '9999-12-31 23:59:59Z'"
    lived = f"case when left({text}, 4) in ('0001', '9999') then {lived} else true end"
    zoned = f"when {matches(text, ZONED)} and {lived} then {_rounded(text, cast, rounding)}"
    if timezone is None:
        return f"case {zoned} end"
    return f"case {zoned} else {in_zone(_local(text, rounding), timezone)} end"


def _rounded(text: str, cast: str, rounding: Rounding) -> str:
    """DuckDB cuts what is finer than a microsecond, which is down at all times."""
    if rounding == "down":
        return cast
    finer = f"length({text}) > 26 and regexp_matches({text}, '[.][0-9]{{6}}[0-9]*[1-9]')"
    return f"{cast} + case when {finer} then to_microseconds(1) else to_microseconds(0) end"
