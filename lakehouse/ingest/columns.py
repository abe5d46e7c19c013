"""Which SQL reads each column of a file as the type that its Iceberg table has."""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.errors import DataError
from lakehouse.quote import quoted

#: DuckDB types that Iceberg lacks, to the narrowest that holds all their values.
_STORED_AS = {
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
    "HUGEINT": "DECIMAL(38,0)",
    "JSON": "VARCHAR",
    "UUID": "VARCHAR",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
}

_NAIVE = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}

_INTEGERS = ("TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT")


def new_columns(found: Mapping[str, str], timezone: str | None) -> dict[str, str]:
    """For each column of a file the expression whose values a new table stores.

    Args:
        found: the file's columns and DuckDB types.
        timezone: the zone of naive timestamps; None keeps them naive.
    """
    return {name: _expression(name, kind, timezone) for name, kind in found.items()}


def table_columns(
    found: Mapping[str, str],
    wanted: Mapping[str, str],
    timezone: str | None,
    *,
    text: bool,
    where: str,
    identifier: str,
) -> tuple[dict[str, str], dict[str, str]]:
    """For each column of a table the expression that reads it, and the types to read text as.

    Args:
        found: the file's columns and DuckDB types.
        wanted: the table's columns and DuckDB types.
        timezone: the zone of naive timestamps.
        text: whether the file holds text, to be read as the table's types; else types may widen.
        where, identifier: the file and the table, for the error.

    Raises:
        DataError: the columns differ, or a type does not fit.
    """
    faults = [f"column {name!r} is missing from the file" for name in wanted if name not in found]
    faults += [f"the table has no column {name!r}" for name in found if name not in wanted]
    columns: dict[str, str] = {}
    forced: dict[str, str] = {}
    for name in [n for n in wanted if n in found]:
        kind, target = found[name], wanted[name]
        columns[name] = _expression(name, kind, timezone)
        forced[name] = target
        if kind in _NAIVE and target == "TIMESTAMP WITH TIME ZONE":
            forced[name] = kind
            if timezone is None:
                faults.append(f"the times of {name!r} have no zone (name it with timezone)")
        elif text:
            columns[name] = quoted(name)
        elif not _widens(_STORED_AS.get(kind, kind), target):
            faults.append(f"column {name!r} is {kind}, in the table {target}")
    if faults:
        raise DataError(
            f"its columns are not those of table {identifier}: " + "; ".join(faults),
            where=where,
            mend="mend the file, or load it into a table of its own; nothing was written",
        )
    return columns, forced if text else {}


def _expression(name: str, kind: str, timezone: str | None) -> str:
    column = quoted(name)
    if kind == "TIMESTAMP_NS":
        # `//` cuts towards zero, which is up for times before 1970 already.
        up = f"case when epoch_ns({column}) > 0 then 999 else 0 end"
        column = f"make_timestamp((epoch_ns({column}) + {up}) // 1000)"
    if kind in _NAIVE and timezone is not None:
        return f"timezone('{timezone}', cast({column} as timestamp))"
    if kind.startswith("ENUM"):
        return f"cast({column} as VARCHAR)"
    return f"cast({column} as {_STORED_AS[kind]})" if kind in _STORED_AS else column


def _widens(kind: str, target: str) -> bool:
    if kind in _INTEGERS and target in _INTEGERS:
        return _INTEGERS.index(kind) <= _INTEGERS.index(target)
    return kind == target or (kind, target) == ("FLOAT", "DOUBLE")
