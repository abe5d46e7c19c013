"""The same files read as a spine: each value unchanged, instants cut down to the microsecond."""

from __future__ import annotations

import csv
import json
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_specs.errors import DataError
from lakehouse.ingest.spine import read_spine
from tests.lakehouse.ingest.oracle import REFUSED, RefusedError, Value, arrives
from tests.lakehouse.ingest.test_what_arrives import (
    INSTANT,
    KINDS,
    ZONES,
    alike,
    as_csv,
    clocks,
    line_of,
    offsets,
    reading,
    same,
    texts,
)

pytestmark = pytest.mark.slow

KEYS = tuple(k for k in KINDS if k not in (INSTANT, "TIMESTAMP"))
instants = st.lists(st.builds("{}{}".format, clocks, offsets), min_size=6, max_size=6)


def value(text: str | None, kind: str, zone: str | None = None) -> Value | object:
    try:
        return arrives(text, kind, zone, up=False)
    except RefusedError:
        return REFUSED


def read(name: str, content: bytes, kind: str, zone: str | None) -> list[tuple[Any, ...]]:
    with reading(name, content) as (path, connection):
        spine = read_spine(connection, path, timestamp="at", timezone=zone, types={"k": kind})
        connection.execute("set TimeZone = 'UTC'")
        return _rows(connection, spine.sql)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    table = connection.sql(f'select k, "at", note from ({sql})').to_arrow_table()
    return [tuple(row.values()) for row in table.to_pylist()]


def first_wrong(rows: list[tuple[Any, ...]]) -> int | None:
    """The row of the first key that is wrong; of the first instant, where all keys are right."""
    for column in (0, 1):
        for number, row in enumerate(rows):
            if row[column] is REFUSED:
                return number
    return None


@given(alike, instants, st.lists(texts, min_size=6, max_size=6), st.sampled_from(KEYS),
       st.sampled_from(ZONES), st.sampled_from(["csv", "jsonl"]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_text_spine(
    keys: list[str], times: list[str], notes: list[str], kind: str, zone: str | None, end: str
) -> None:
    """Keys by their declared types; a column that nothing declares is text or what all of it is."""
    name = f"a.{end}"
    notes = [f"note {n}" for n in notes]
    texts_ = [k if end == "jsonl" else k or None for k in keys]
    if kind == "BOOLEAN" and end == "jsonl":
        kind = "VARCHAR"
    wanted = [
        (value(k, kind), value(at, INSTANT, zone), note)
        for k, at, note in zip(texts_, times, notes, strict=False)
    ]
    if end == "csv":
        rows: list[list[str | None]] = [["k", "at", "note"]]
        rows += [list(row) for row in zip(keys, times, notes, strict=False)]
        content = as_csv(rows, csv.QUOTE_MINIMAL, "\n")
        lines = [line_of(rows, n + 1, csv.QUOTE_MINIMAL, "\n") for n in range(len(wanted))]
    else:
        objects = [
            {"k": k, "at": t, "note": n} for k, t, n in zip(keys, times, notes, strict=False)
        ]
        content = "\n".join(map(json.dumps, objects)).encode()
        lines = [n + 1 for n in range(len(wanted))]
    wrong = first_wrong(wanted)
    if wrong is None and _mixed([t for t, _ in zip(times, wanted, strict=False)]) and zone:
        with pytest.raises(DataError, match="mixes"):
            read(name, content, kind, zone)
        return
    if wrong is None:
        assert all(map(_same_row, read(name, content, kind, zone), wanted))
        return
    with pytest.raises(DataError) as caught:
        read(name, content, kind, zone)
    said = str(caught.value)
    assert "--types" not in said, "train has no such option"
    by_line = any(f"{name}:{line}: " in said for line, row in zip(lines, wanted, strict=True)
                  if REFUSED in row)  # fmt: skip
    kinds = ("mixes kinds of times", "have no time zone", "is a VARCHAR", "is a DATE",
             "not in the calendar")  # fmt: skip
    assert by_line or any(k in said for k in kinds), said


def _mixed(times: list[str]) -> bool:
    return len({value(t, INSTANT) is REFUSED for t in times}) > 1


def _same_row(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    return all(map(same, found, wanted))


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=5),
       st.sampled_from(["ns", "us", "ms"]), st.sampled_from(ZONES[1:]), st.booleans(), st.data())  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_a_parquet_spine(
    drawn: list[int], unit: str, zone: str, zoned: bool, data: st.DataObject
) -> None:
    """Instants go down to the microsecond; other columns keep their own types and values."""
    scale = {"ns": 1, "us": 1000, "ms": 1_000_000}[unit]
    numbers = [n // scale for n in drawn]
    kind = pa.timestamp(unit, "UTC" if zoned else None)
    key = data.draw(st.sampled_from([pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(38, 2)]))
    values = [n % 100 for n in range(len(numbers))]
    table = pa.table({"k": pa.array(values, key), "at": pa.array(numbers, kind),
                      "note": pa.array([[{"a": v}] for v in values])})  # fmt: skip
    with reading("a.parquet", b"") as (path, connection):
        pq.write_table(table, path)
        spine = read_spine(
            connection, path, timestamp=None, timezone=None if zoned else "UTC", types={}
        )
        found = connection.sql(f'select epoch_us("at"), k, note from ({spine.sql})').fetchall()
    assert [f[0] for f in found] == [n * scale // 1000 for n in numbers]
    assert [f[1] for f in found] == table["k"].to_pylist()
    assert [f[2] for f in found] == table["note"].to_pylist()
