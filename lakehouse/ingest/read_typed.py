"""SQL that reads a Parquet value as a value of another type, where it comes through unchanged."""

from __future__ import annotations

import re

from duckdb.sqltypes import DuckDBPyType

from feature_specs.quote import quoted
from lakehouse.data_files.nanoseconds import whole_microseconds
from lakehouse.ingest.read_json import ColumnReading
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


#: A Parquet column that has no type and no value.
NOTHING = '"NULL"'


def stored_type(kind: str) -> str:
    """The DuckDB type as which Iceberg stores a type."""
    if is_nested(kind):
        # Times finer than a microsecond would have to be rounded, which a cast does the other way.
        return kind if "_NS" in kind else _stored_nested(DuckDBPyType(kind))
    return "VARCHAR" if kind.startswith("ENUM") else _STORED_AS.get(kind, kind)


def is_nested(kind: str) -> bool:
    """Whether a DuckDB type is a list, a struct or a map."""
    return kind.endswith("]") or kind.startswith(("STRUCT(", "MAP("))


def _stored_nested(kind: DuckDBPyType) -> str:
    parts = {name: child for name, child in kind.children if isinstance(child, DuckDBPyType)}
    stored = {name: stored_type(str(child)) for name, child in parts.items()}
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {text}' for name, text in stored.items())})"
    if kind.id == "map":
        return f"MAP({stored['key']}, {stored['value']})"
    return f"{stored['child']}[]"


def read_typed(
    column: str, kind: str, target: str, timezone: str | None, rounding: Rounding
) -> ColumnReading | None:
    """How a column of one type is read as another; None where no value could be the same.

    Args:
        column: SQL of the column.
        kind, target: DuckDB types; the target is one that Iceberg stores.
        timezone: the zone of times that have none.
    """
    if kind == target:
        return ColumnReading(column, None)
    if kind == NOTHING:
        return ColumnReading(f"cast(null as {target})", None)
    if is_nested(kind):
        # Only to wider types: all of them hold what their narrower ones do.
        alike = str(DuckDBPyType(stored_type(kind))) == str(DuckDBPyType(target))
        return ColumnReading(f"cast({column} as {target})", None) if alike else None
    if kind in NAIVE and target in ("TIMESTAMP", INSTANT):
        return _time(column, kind, target, timezone, rounding)
    if kind == "TIMESTAMPTZ_NS" and target == INSTANT:
        return ColumnReading(f"timezone('UTC', {_microseconds(column, rounding)})", None)
    if kind == "TIME_NS" and target == "TIME":
        value = f"case when epoch_ns({column}) % 1000 = 0 then cast({column} as time) end"
        return _tested(column, value)
    if target == "VARCHAR" and stored_type(kind) == "VARCHAR":
        return ColumnReading(f"cast({column} as varchar)", None)
    if kind == "VARCHAR" and target == "UUID":
        return None
    return _number(column, kind, target)


def _time(
    column: str, kind: str, target: str, timezone: str | None, rounding: Rounding
) -> ColumnReading | None:
    local = _microseconds(column, rounding) if kind == "TIMESTAMP_NS" else f"{column}::timestamp"
    if target == "TIMESTAMP":
        return ColumnReading(local, None)
    return None if timezone is None else _tested(column, in_zone(local, timezone))


def _microseconds(column: str, rounding: Rounding) -> str:
    return f"make_timestamp({whole_microseconds(column, rounding)})"


def _number(column: str, kind: str, target: str) -> ColumnReading | None:
    whole, floats = kind in INTEGERS, ("FLOAT", "DOUBLE")
    source, wanted = _scale(kind), _scale(target)
    cast = f"try_cast({column} as {target})"
    if target in floats and (whole or source is not None):
        if source:
            # By its digits: DuckDB's own cast of a decimal may miss the nearest double.
            return _tested(column, f"try_cast({column}::varchar as {target})")
        same = f"try_cast({cast} as hugeint) = {column}"
    elif (kind, target) == ("FLOAT", "DOUBLE"):
        return ColumnReading(f"cast({column} as double)", None)
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


def _tested(column: str, value: str) -> ColumnReading:
    return ColumnReading(value, f"({value} is not null or {column} is null)")
