"""SQL that reads a Parquet value as a value of another type, where it comes through unchanged."""

from __future__ import annotations

import re

from lakehouse.ingest.read_json import Reading
from lakehouse.ingest.read_text import INSTANT, INTEGERS, Rounding, in_zone
from lakehouse.stored_types import STORED_AS

#: DuckDB types that Iceberg lacks, to the narrowest that holds all their values as they are read.
_STORED_AS = {
    **STORED_AS,
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMPTZ_NS": INSTANT,
    "TIME_NS": "TIME",
}

NAIVE = ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")


def stored_type(kind: str) -> str:
    """The DuckDB type as which Iceberg stores a type."""
    return "VARCHAR" if kind.startswith("ENUM") else _STORED_AS.get(kind, kind)


def read_typed(
    column: str, kind: str, target: str, timezone: str | None, rounding: Rounding
) -> Reading | None:
    """How a column of one type is read as another; None where no value could be the same.

    Args:
        column: SQL of the column.
        kind, target: DuckDB types; the target is one that Iceberg stores.
        timezone: the zone of times that have none.
    """
    if kind == target:
        return Reading(column, None)
    if kind in NAIVE and target in ("TIMESTAMP", INSTANT):
        return _time(column, kind, target, timezone, rounding)
    if kind == "TIMESTAMPTZ_NS" and target == INSTANT:
        return Reading(f"timezone('UTC', {_microseconds(column, rounding)})", None)
    if kind == "TIME_NS" and target == "TIME":
        value = f"case when epoch_ns({column}) % 1000 = 0 then cast({column} as time) end"
        return _tested(column, value)
    if target == "VARCHAR" and stored_type(kind) == "VARCHAR":
        return Reading(f"cast({column} as varchar)", None)
    if kind == "VARCHAR" and target == "UUID":
        return None
    return _number(column, kind, target)


def _time(
    column: str, kind: str, target: str, timezone: str | None, rounding: Rounding
) -> Reading | None:
    local = _microseconds(column, rounding) if kind == "TIMESTAMP_NS" else f"{column}::timestamp"
    if target == "TIMESTAMP":
        return Reading(local, None)
    return None if timezone is None else _tested(column, in_zone(local, timezone))


def _microseconds(column: str, rounding: Rounding) -> str:
    # `//` cuts towards zero: up for times before 1970, down for later ones.
    sign, more = (">", "+") if rounding == "up" else ("<", "-")
    by = f"case when epoch_ns({column}) {sign} 0 then 999 else 0 end"
    return f"make_timestamp((epoch_ns({column}) {more} {by}) // 1000)"


def _number(column: str, kind: str, target: str) -> Reading | None:
    whole, floats = kind in INTEGERS, ("FLOAT", "DOUBLE")
    source, wanted = _scale(kind), _scale(target)
    cast = f"try_cast({column} as {target})"
    if target in floats and (whole or source is not None):
        if source:
            # By its digits: DuckDB's own cast of a decimal may miss the nearest double.
            return _tested(column, f"try_cast({column}::varchar as {target})")
        same = f"try_cast({cast} as hugeint) = {column}"
    elif (kind, target) == ("FLOAT", "DOUBLE"):
        return Reading(f"cast({column} as double)", None)
    elif (kind, target) == ("DOUBLE", "FLOAT") or (kind in floats and target in INTEGERS):
        same = f"{cast}::double = {column}"
    elif whole and (target in INTEGERS or wanted is not None):
        same = f"{cast} is not null"
    elif source is not None and (target in INTEGERS or wanted is not None):
        same = f"try_cast({cast} as {kind}) = {column}"
    else:
        return None
    return _tested(column, f"case when {same} then {cast} end")


def _scale(kind: str) -> int | None:
    found = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", kind)
    return None if found is None else int(found[1])


def _tested(column: str, value: str) -> Reading:
    return Reading(value, f"({value} is not null or {column} is null)")
