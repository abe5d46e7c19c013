"""Read a file's columns as a table's types, and refuse by line and value what would be changed."""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb

from feature_specs.errors import DataError, ForebayError, first_line
from feature_specs.quote import quoted
from lakehouse.ingest.read_json import ColumnReading, read_json
from lakehouse.ingest.read_text import DATE, INSTANT, LOCAL, ZONED, Rounding, matches, read_text
from lakehouse.ingest.read_typed import NAIVE, is_nested, read_typed, stored_type
from lakehouse.ingest.source import JSON, TEXT, Source, first_row, types_hint


def known_type(
    connection: duckdb.DuckDBPyConnection, name: str, kind: str, where: str = "--types"
) -> str:
    """A type as DuckDB spells it.

    Raises:
        ForebayError: DuckDB has no such type.
    """
    try:
        row = first_row(connection, f"select typeof(cast(null as {kind}))")
    except duckdb.Error as error:
        raise ForebayError(
            f"{kind!r} of column {name!r} is not a type: {first_line(error)}",
            where=where,
            hint="write for example bigint, double, decimal(10,2), varchar, date or timestamptz",
        ) from None
    assert row is not None
    return str(row[0])


def read_columns(
    source: Source,
    wanted: Mapping[str, str],
    *,
    timezone: str | None,
    rounding: Rounding = "up",
    exact_types: bool = False,
) -> dict[str, ColumnReading]:
    """How each column of a file is read as the type that is wanted of it.

    Args:
        wanted: DuckDB types by column.
        exact_types: whether the result has those types; else those that Iceberg lacks are wider.

    Raises:
        DataError: no value of a column could be one of its type.
    """
    faults = []
    readings: dict[str, ColumnReading] = {}
    for name, target in wanted.items():
        kind, column = source.kinds[name], quoted(name)
        reading: ColumnReading | None
        if kind == TEXT:
            sql = read_text(column, target, timezone, rounding)
            reading = (
                sql and ColumnReading(sql, f"({sql} is not null or {column} is null)")
            ) or None
            if target == "VARCHAR":
                reading = ColumnReading(column, None)
        elif kind == JSON:
            reading = read_json(column, name, str(source.raw), target, timezone, rounding)
        else:
            reading = read_typed(column, kind, target, timezone, rounding)
        if reading is None:
            faults.append(_cannot(name, kind, target, timezone))
            continue
        stored = target if exact_types else stored_type(target)
        value = reading.value if stored == target else f"cast({reading.value} as {stored})"
        readings[name] = ColumnReading(value, reading.fits)
    if faults:
        raise DataError(
            "; ".join(what for what, _ in faults), where=str(source.path), hint=faults[0][1]
        )
    return readings


def _cannot(name: str, kind: str, target: str, timezone: str | None) -> tuple[str, str]:
    if kind in NAIVE and target == INSTANT and timezone is None:
        return f"the times in column {name!r} have no time zone", _ZONE_HINT
    if kind in (TEXT, JSON):
        what = "CSV" if kind == TEXT else "JSON"
        fault = f"column {name!r} is {target}, which {what} cannot hold"
        if target in _TIMES_OF_TYPES:
            return fault, f"say {types_hint({name: _TIMES_OF_TYPES[target]})}"
        if kind == TEXT and is_nested(target):
            return fault, "give a JSON or Parquet file"
        return fault, f"give a Parquet file, or in a new table {types_hint({name: 'varchar'})}"
    return (
        f"column {name!r} is {kind}, in the table {target}",
        "cast it in the file, or load it into a table of its own; nothing was written",
    )


#: Types of times that Iceberg lacks, to the one that takes their text.
_TIMES_OF_TYPES = {
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "timestamp"),
    **dict.fromkeys(("TIMESTAMPTZ_NS",), "timestamptz"),
    **dict.fromkeys(("TIME_NS",), "time"),
}

#: What Iceberg can widen a type to without writing rows again.
_WIDEST = {"INTEGER": "bigint", "FLOAT": "double"}

_ZONE_HINT = "say which it is, for example --timezone UTC"


def refuse_changed(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    readings: Mapping[str, ColumnReading],
    wanted: Mapping[str, str],
    *,
    timezone: str | None,
    required: frozenset[str] = frozenset(),
) -> None:
    """Raise DataError for the first value that its column's type would change, and say how many.

    Args:
        required: columns that may hold no null.
    """
    tests = tests_of(readings, required)
    if tests:
        counts = ", ".join(f"count(*) filter (not ({t}))" for t in tests.values())
        row = first_row(connection, f"select {counts} from {source.relation}")
        assert row is not None
        for (name, test), count in zip(tests.items(), row, strict=True):
            if count:
                _refuse(connection, source, name, test, wanted[name], timezone, int(count))
    refuse_mixed(connection, source, readings, wanted, timezone)


def tests_of(readings: Mapping[str, ColumnReading], required: frozenset[str]) -> dict[str, str]:
    """SQL by column that is false where a row's value would be changed; none for what always fits."""
    tests = {name: r.fits for name, r in readings.items() if r.fits is not None}
    for name in required & readings.keys():
        given = f"{readings[name].value} is not null"
        tests[name] = f"({tests[name]} and {given})" if name in tests else given
    return tests


def refuse_mixed(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    readings: Mapping[str, ColumnReading],
    wanted: Mapping[str, str],
    timezone: str | None,
) -> None:
    """Raise DataError where a column mixes times with and without a zone."""
    if timezone is not None:
        for name in readings:
            if wanted[name] == INSTANT and source.kinds[name] in (TEXT, JSON):
                _refuse_mixed(connection, source, name)


def _refuse(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    name: str,
    test: str,
    target: str,
    timezone: str | None,
    count: int,
) -> None:
    row = first_row(
        connection,
        f"select row, value from (select row_number() over () as row, {quoted(name)}::varchar "
        f"as value, {test} as fits from {source.relation}) where not fits limit 1",
    )
    assert row is not None
    what, hint = explain_value(source, name, row[1], target, timezone)
    more = f" (and so in {count - 1} more row{'s' * (count > 2)})" if count > 1 else ""
    raise DataError(what + more, where=source.place(row[0]), hint=hint)


def explain_value(
    source: Source, name: str, value: str | None, target: str, timezone: str | None
) -> tuple[str, str]:
    """What is wrong with a value of a column, and how to fix it."""
    nothing = "fix the value; nothing was written"
    if value is None:
        return f"column {name!r} may not be null", "fill it in; nothing was written"
    bare = value.strip('"')
    shown = repr(bare if len(bare) <= 60 else bare[:57] + "...")
    if target == INSTANT and (re.fullmatch(LOCAL, bare) or source.kinds[name] in NAIVE):
        if timezone is None:
            return f"the time {shown} in column {name!r} has no time zone", _ZONE_HINT
        return f"{shown} in column {name!r} never was in {timezone}: clocks went forward", nothing
    if target == INSTANT and re.fullmatch(DATE, bare):
        return (
            f"{shown} in column {name!r} is a date, and the column holds instants",
            "write the time of day and its offset, for example 2024-01-31T00:00:00Z",
        )
    if target == "TIMESTAMP" and re.fullmatch(ZONED, bare):
        return (
            f"column {name!r} holds times without a zone, so the offset of {shown} would be lost",
            "load it into a table whose column is a timestamptz",
        )
    if (
        source.kinds[name] == JSON
        and re.fullmatch(r"-?[0-9]+\.[0-9]+", bare)
        and target != "DOUBLE"
    ):
        nothing = "write a number of more than 15 digits in quotes; nothing was written"
    if is_nested(target) and INSTANT in target:
        nothing = "write its times with their offset, as 2024-01-31T13:30:00Z; nothing was written"
    if target in (INSTANT, "TIMESTAMP", "DATE", "TIME"):
        form = {"DATE": "2024-01-31", "TIME": "13:30:00"}.get(target, "2024-01-31T13:30:00Z")
        return f"{shown} in column {name!r} is not a {target.lower()} in ISO 8601", f"write {form}"
    return (
        f"column {name!r} is {target}, which does not hold {shown} unchanged",
        nothing
        if _WIDEST.get(target) is None
        else f"{nothing}, or make the column {_WIDEST[target]} (a table's is widened by --evolve)",
    )


def _refuse_mixed(connection: duckdb.DuckDBPyConnection, source: Source, name: str) -> None:
    text = quoted(name)
    text = f"json_extract_string({text}, '$')" if source.kinds[name] == JSON else text
    first = []
    for pattern in (LOCAL, ZONED):
        row = first_row(
            connection,
            f"select row, text from (select row_number() over () as row, {text} as text "
            f"from {source.relation}) where {matches('text', pattern)} limit 1",
        )
        if row is None:
            return
        first.append(row)
    later = max(row[0] for row in first)
    raise DataError(
        f"column {name!r} mixes times without a zone ({first[0][1]!r}) and with one "
        f"({first[1][1]!r})",
        where=source.place(later),
        hint="write all alike; nothing was written",
    )


def select_columns(source: Source, readings: Mapping[str, ColumnReading]) -> str:
    """A SELECT of the columns as they are to be stored."""
    columns = ", ".join(f"{r.value} as {quoted(name)}" for name, r in readings.items())
    return f"select {columns} from {source.relation}"
