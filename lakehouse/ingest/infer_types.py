"""Choose the types of a new table's columns from all values of a file, or ask for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from feature_specs.errors import DataError, Location
from feature_specs.names import fold_name
from feature_specs.quote import quoted
from lakehouse.ingest.read_text import (
    DATE,
    INSTANT,
    LOCAL,
    PLAIN_NUMBER,
    ZONED,
    matches,
    read_text,
)
from lakehouse.ingest.read_typed import NOTHING
from lakehouse.ingest.source import JSON, TEXT, Source, first_row, types_hint

_SAMPLE = 2048

#: Columns whose values one query looks at.
_AT_ONCE = 40

#: Tried one after the other. What is none of them is text.
_TYPES = ("BOOLEAN", "BIGINT", "DOUBLE", "DATE", INSTANT, "TIMESTAMP")
_TIMES = ("DATE", INSTANT, "TIMESTAMP")


@dataclass(frozen=True)
class _Column:
    """A column whose type is sought: SQL of its text, and the types that are in question."""

    name: str
    text: str
    candidates: tuple[str, ...]


def infer_types(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    columns: Sequence[str],
    *,
    empty: str | None = None,
) -> dict[str, str]:
    """DuckDB types of columns of text or JSON; every value is one of its column's type.

    Text is a number only where it is written as one would write that number: ``007`` and ``+1``
    stay text, and so does a column with a whole number that a double would change.

    Args:
        empty: the type of columns without a value; by default they are refused.

    Raises:
        DataError: a column has no values, or its values are of several kinds.
    """
    found: dict[str, str] = {}
    seek: list[_Column] = []
    for name in columns:
        if source.kinds[name] == TEXT:
            seek.append(_Column(name, quoted(name), _TYPES))
    values = [n for n in columns if source.kinds[n] == JSON]
    kinds = _json_kinds(connection, source, values)
    for name in values:
        given = kinds[name]
        text = f"json_extract_string({quoted(name)}, '$')"
        if given in ({"OBJECT"}, {"ARRAY"}):
            found[name] = _nested_type(connection, source, name)
        elif given == {"BOOLEAN"}:
            found[name] = "BOOLEAN"
        elif given == {"VARCHAR"}:
            seek.append(_Column(name, text, _TIMES))
        elif given and given <= {"BIGINT", "UBIGINT", "DOUBLE"}:
            seek.append(_Column(name, text, ("BIGINT", "DOUBLE")))
        elif given:
            raise DataError(
                f"column {name!r} mixes {' and '.join(sorted({_SPOKEN[k] for k in given}))}",
                where=_second_kind(connection, source, name),
                hint=f"make them alike, or keep them as JSON text: {types_hint({name: 'json'})}",
            )
    chosen, without = _choose(connection, source, seek)
    without += [n for n in values if not kinds[n]]
    without += [n for n in columns if source.kinds[n] == NOTHING]
    if without and empty is None:
        raise _without_values(source, without)
    for column in seek:
        numbers = "BIGINT" in column.candidates and source.kinds[column.name] == JSON
        if chosen[column.name] == "VARCHAR" and numbers:
            raise _odd_number(connection, source, column)
    found |= chosen | dict.fromkeys(without, empty or "VARCHAR")
    return {name: found[name] for name in columns}


def _without_values(source: Source, names: Sequence[str]) -> DataError:
    named, several = ", ".join(map(repr, names)), len(names) > 1
    return DataError(
        f"column{'s' * several} {named} {'have' if several else 'has'} no value in the file, so that "
        "a new table's types cannot be known",
        where=str(source.path),
        hint=f"name the types: {types_hint(dict.fromkeys(names, 'varchar'))}",
    )


def _odd_number(
    connection: duckdb.DuckDBPyConnection, source: Source, column: _Column
) -> DataError:
    """The error for a column's first number that is not a double."""
    row = first_row(
        connection,
        f"select row, text from (select row_number() over () as row, {column.text} as text, "
        f"{_is(column.text, 'DOUBLE')} as is_double from {source.relation}) "
        "where text is not null and not coalesce(is_double, false) limit 1",
    )
    assert row is not None
    return DataError(
        f"column {column.name!r} has {row[1]!r}, a number that neither a bigint nor a double beside "
        "the others holds",
        where=source.place(row[0]),
        hint=f"name its type, for example {types_hint({column.name: 'decimal(38,0)'})}, or double "
        "where it has NaN",
    )


_SPOKEN = {
    "VARCHAR": "text",
    "BIGINT": "numbers",
    "UBIGINT": "numbers",
    "DOUBLE": "numbers",
    "BOOLEAN": "booleans",
    "OBJECT": "objects",
    "ARRAY": "arrays",
}


def _second_kind(
    connection: duckdb.DuckDBPyConnection, source: Source, name: str
) -> Location | str:
    """Where a JSON column has its first value that is not of the kind of those before it."""
    kind = f"case when json_type({quoted(name)}) in ('BIGINT', 'UBIGINT') then 'DOUBLE' "
    kind += f"else json_type({quoted(name)}) end"
    rows = connection.execute(
        f"select min(row) as first from (select row_number() over () as row, {kind} as kind "
        f"from {source.relation}) where kind <> 'NULL' group by kind order by first"
    ).fetchall()
    return source.place(rows[1][0])


def _choose(
    connection: duckdb.DuckDBPyConnection, source: Source, columns: list[_Column]
) -> tuple[dict[str, str], list[str]]:
    """The first type that all values of a column are of; and the columns without a value."""
    rows = f"(select * from {source.relation} limit {_SAMPLE})"
    tests = {c.name: [_is(c.text, t) for t in c.candidates] for c in columns}
    sampled = _counts(connection, rows, columns, tests)
    left = {
        c.name: [
            t
            for t, hit in zip(c.candidates, sampled[c.name][1:], strict=True)
            if hit == sampled[c.name][0]
        ]
        for c in columns
    }
    chosen: dict[str, str] = {}
    empty: list[str] = []
    seek = list(columns)
    while seek:
        tests = {c.name: [_is(c.text, t) for t in left[c.name][:1]] for c in seek}
        counted = _counts(connection, source.relation, seek, tests)
        for column in seek:
            total, *hits = counted[column.name]
            if total == 0:
                empty.append(column.name)
                chosen[column.name] = "VARCHAR"
            elif not hits or hits[0] == total:
                chosen[column.name] = left[column.name][0] if hits else "VARCHAR"
            else:
                left[column.name].pop(0)
        seek = [c for c in seek if c.name not in chosen]
    for column in columns:
        if chosen[column.name] == "VARCHAR" and column.name not in empty:
            _refuse_mixed_times(connection, source, column)
    return chosen, empty


def _counts(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[_Column],
    tests: Mapping[str, Sequence[str]],
) -> dict[str, list[int]]:
    """For each column how many values it has, and how many pass each of its tests."""
    found: dict[str, list[int]] = {}
    # Each pattern of a query costs a megabyte or more while the query runs.
    for start in range(0, len(columns), _AT_ONCE):
        some = columns[start : start + _AT_ONCE]
        select = [
            sql
            for c in some
            for sql in (f"count({c.text})", *(f"count(*) filter ({t})" for t in tests[c.name]))
        ]
        row = first_row(connection, f"select {', '.join(select)} from {relation}")
        assert row is not None
        counts = iter(map(int, row))
        found |= {c.name: [next(counts) for _ in range(1 + len(tests[c.name]))] for c in some}
    return found


def _is(text: str, kind: str) -> str:
    """SQL: whether a text is a value of a type, written as a new table takes it."""
    if kind == "BIGINT":
        return f"try_cast({text} as bigint)::varchar = {text}"
    if kind == "DOUBLE":
        # A whole number too long for a bigint is rather a name than a measure, without a point.
        cast, whole = f"try_cast({text} as double)", matches(text, "-?[0-9]+(?:[.]0*)?")
        name = f"length({text}) <> 16 and not contains({text}, '.')"
        exact = f"not ({name}) and try_cast({cast} as hugeint) = try_cast({text} as hugeint)"
        # CASE, since DuckDB evaluates both sides of AND and OR.
        long = f"case when length({text}) > 15 and {whole} then {exact} else true end"
        return f"case when {matches(text, PLAIN_NUMBER)} then isfinite({cast}) and {long} end"
    # Rounding decides no value's kind, and costs.
    return f"{read_text(text, kind, None, 'down')} is not null"


def _refuse_mixed_times(
    connection: duckdb.DuckDBPyConnection, source: Source, column: _Column
) -> None:
    """Raise where all values are times of some kind: left as text, nobody could ask for instants."""
    ways = {"a date": DATE, "a time without a zone": LOCAL, "a time with its offset": ZONED}
    tests = {column.name: [matches(column.text, pattern) for pattern in ways.values()]}
    total, *hits = _counts(connection, source.relation, [column], tests)[column.name]
    if sum(hits) < total:
        return
    first = []
    for way, pattern in ways.items():
        row = first_row(
            connection,
            f"select row, text from (select row_number() over () as row, {column.text} as text "
            f"from {source.relation}) where {matches('text', pattern)} limit 1",
        )
        if row is not None:
            first.append((row[0], f"{row[1]!r} is {way}"))
    first.sort()
    if len(first) < 2:
        raise DataError(
            f"column {column.name!r} has times that are not in the calendar",
            where=str(source.path),
            hint=f"fix them, or keep the text: {types_hint({column.name: 'varchar'})}",
        )
    raise DataError(
        f"column {column.name!r} mixes kinds of times: {first[0][1]}, {first[1][1]}",
        where=source.place(first[1][0]),
        hint=f"write all alike, or keep the text: {types_hint({column.name: 'varchar'})}",
    )


def _json_kinds(
    connection: duckdb.DuckDBPyConnection, source: Source, names: Sequence[str]
) -> dict[str, set[str]]:
    if not names:
        return {}
    select = ", ".join(f"list(distinct json_type({quoted(n)}))" for n in names)
    row = first_row(connection, f"select {select} from {source.relation}")
    assert row is not None
    return {
        name: {k for k in kinds or () if k not in (None, "NULL")}
        for name, kinds in zip(names, row, strict=True)
    }


def _nested_type(connection: duckdb.DuckDBPyConnection, source: Source, name: str) -> str:
    row = first_row(
        connection, f"select json_group_structure({quoted(name)}) from {source.relation}"
    )
    assert row is not None
    kind = _structured(json.loads(row[0]))
    if kind is None:
        raise DataError(
            f"column {name!r} has objects or arrays whose values are empty or of several kinds",
            where=str(source.path),
            hint=f"keep them as JSON text: {types_hint({name: 'json'})}",
        )
    return kind


def _structured(found: object) -> str | None:
    """The DuckDB type of what json_group_structure says; None where it says no one type."""
    if isinstance(found, list):
        inner = _structured(found[0]) if found else None
        return None if inner is None else f"{inner}[]"
    if isinstance(found, dict):
        fields = {k: _structured(v) for k, v in found.items()}
        folded = {fold_name(k) for k in fields}
        if not fields or "" in fields or None in fields.values() or len(folded) < len(fields):
            return None
        return "STRUCT(" + ", ".join(f"{quoted(k)} {v}" for k, v in fields.items()) + ")"
    return {"UBIGINT": "BIGINT"}.get(str(found)) or (
        str(found) if found in ("BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN") else None
    )
