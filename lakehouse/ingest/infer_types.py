"""Choose the types of a new table's columns from all values of a file, or ask for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from feature_specs.errors import DataError
from lakehouse.ingest.read_text import (
    DATE,
    INSTANT,
    LOCAL,
    PLAIN_NUMBER,
    ZONED,
    matches,
    read_text,
)
from lakehouse.ingest.source import JSON, TEXT, Source, first_row, types_hint
from lakehouse.quote import quoted

_SAMPLE = 2048

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
                f"column {name!r} mixes {' and '.join(sorted(_SPOKEN[k] for k in given))}",
                where=str(source.path),
                mend=f"make them alike, or keep them as JSON text: {types_hint([name], 'json')}",
            )
    chosen, without = _choose(connection, source, seek)
    without += [n for n in values if not kinds[n]]
    if without and empty is None:
        named = ", ".join(repr(n) for n in without)
        raise DataError(
            f"column{'s' * (len(without) > 1)} {named} {'have' if len(without) > 1 else 'has'} no "
            "value in the file, so that a new table's types cannot be known",
            where=str(source.path),
            mend=f"name the types: {types_hint(without)}",
        )
    for column in seek:
        numbers = "BIGINT" in column.candidates and source.kinds[column.name] == JSON
        if chosen[column.name] == "VARCHAR" and numbers:
            raise DataError(
                f"column {column.name!r} has numbers that neither a bigint nor a double holds",
                where=str(source.path),
                mend=f"name its type, for example {types_hint([column.name], 'decimal(38,0)')}, "
                "or double where it has NaN",
            )
    found |= chosen | dict.fromkeys(without, empty or "VARCHAR")
    return {name: found[name] for name in columns}


_SPOKEN = {
    "VARCHAR": "text",
    "BIGINT": "numbers",
    "UBIGINT": "numbers",
    "DOUBLE": "numbers",
    "BOOLEAN": "booleans",
    "OBJECT": "objects",
    "ARRAY": "arrays",
}


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
    if not columns:
        return {}
    select = [
        sql
        for c in columns
        for sql in (f"count({c.text})", *(f"count(*) filter ({t})" for t in tests[c.name]))
    ]
    row = first_row(connection, f"select {', '.join(select)} from {relation}")
    assert row is not None
    found, at = {}, 0
    for column in columns:
        width = 1 + len(tests[column.name])
        found[column.name] = [int(n) for n in row[at : at + width]]
        at += width
    return found


def _is(text: str, kind: str) -> str:
    """SQL: whether a text is a value of a type, written as a new table takes it."""
    if kind == "BIGINT":
        return f"try_cast({text} as bigint)::varchar = {text}"
    value = read_text(text, kind, None, "up")
    if kind == "DOUBLE":
        # A whole number too long for a bigint is rather a name than a measure.
        whole = f"length({text}) > 16 and {matches(text, '-?[0-9]+')}"
        return f"{matches(text, PLAIN_NUMBER)} and {value} is not null and not ({whole})"
    return f"{value} is not null"


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
            mend=f"mend them, or keep the text: {types_hint([column.name])}",
        )
    raise DataError(
        f"column {column.name!r} mixes kinds of times: {first[0][1]}, {first[1][1]}",
        where=source.place(first[1][0]),
        mend=f"write all alike, or keep the text: {types_hint([column.name])}",
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
            mend=f"keep them as JSON text: {types_hint([name], 'json')}",
        )
    return kind


def _structured(found: object) -> str | None:
    """The DuckDB type of what json_group_structure says; None where it says no one type."""
    if isinstance(found, list):
        inner = _structured(found[0]) if found else None
        return None if inner is None else f"{inner}[]"
    if isinstance(found, dict):
        fields = {k: _structured(v) for k, v in found.items()}
        folded = {k.lower() for k in fields}
        if not fields or None in fields.values() or len(folded) < len(fields):
            return None
        return "STRUCT(" + ", ".join(f"{quoted(k)} {v}" for k, v in fields.items()) + ")"
    return {"UBIGINT": "BIGINT"}.get(str(found)) or (
        str(found) if found in ("BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN") else None
    )
