"""Every value of every format comes through unchanged, or is refused by its line.

Files are drawn; what must arrive is said by Python's own csv, json, decimal and datetime.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from feature_specs.errors import DataError
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.read_rows import read_rows
from lakehouse.ingest.source import FileOptions
from tests.lakehouse.ingest.oracle import REFUSED, json_scalar, value_or_refused

pytestmark = pytest.mark.slow

INSTANT = "TIMESTAMP WITH TIME ZONE"
KINDS = (
    *("VARCHAR", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "DATE", "TIMESTAMP", INSTANT),
    *("DECIMAL(10,2)", "DECIMAL(38,12)", "DECIMAL(5,0)"),
)
ZONES = (None, "UTC", "Europe/Berlin", "America/New_York")

digits = st.text("0123456789", min_size=1, max_size=22)
signs = st.sampled_from(["", "", "-", "+"])
numbers = st.one_of(
    st.builds("{}{}".format, signs, digits),
    st.builds("{}{}.{}".format, signs, digits, st.text("0123456789", max_size=20)),
    st.builds("{}{}e{}".format, signs, digits, st.integers(-320, 300)),
    st.integers(-(2**66), 2**66).map(str),
    st.sampled_from([2**53 + 1, 2**53, 2**63 - 1, 2**63, -(2**63), 2**31, 2**24 + 1]).map(str),
    st.floats().map(repr),
    st.floats(width=32).map(repr),
)
clocks = st.one_of(
    st.datetimes().map(lambda t: t.isoformat()),
    st.builds(
        "{}{}{:02d}:{:02d}:{:02d}.{}".format,
        st.dates().map(str),
        st.sampled_from("T "),
        *(st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
        st.text("0159", min_size=1, max_size=12),
    ),
    st.sampled_from(
        ["2024-03-31 02:30:00", "2024-03-10T02:00", "2024-10-27 02:30:00", "2024-11-03 01:59:59.9"]
    ),
)
offsets = st.sampled_from(["", "", "Z", "+00:00", "+05:30", "-0330", "+14", "-23:59", "+24:00"])
ODD = (
    *("", " 5", "5 ", "1_000", "0x10", "NaN", "inf", "-Infinity", "True", "false", "t", "1", "yes"),
    *("01/02/2024", "2024-1-5", "2024-02-30", "0000-01-01", "null", "NA", "\\N", "1,5", "'", '"'),
    *("12:30", "2024-01-01T24:00:00Z", "2024-01-01 00:00:00 UTC", "infinity", "epoch", "007"),
)
odd = st.sampled_from(ODD)
texts = st.one_of(
    numbers,
    st.builds("{}{}".format, clocks, offsets),
    st.dates().map(str),
    odd,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
)


@contextmanager
def reading(name: str, content: bytes) -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        path = Path(folder) / name
        path.write_bytes(content)
        yield path, connection


def read(
    name: str, content: bytes, types: dict[str, str] | None = None, zone: str | None = None
) -> pa.Table:
    """A file's rows as a table with columns of the types would get them, or a new table."""
    with reading(name, content) as (path, connection):
        return read_path(path, connection, types, zone)


def read_path(
    path: Path,
    connection: duckdb.DuckDBPyConnection,
    types: dict[str, str] | None,
    zone: str | None = None,
) -> pa.Table:
    options = FileOptions(timezone=zone, types=types or {})
    source = open_source(connection, path, options, path.parent)
    asked = {n: (types or {}).get(n) for n in source.kinds}
    reading = read_rows(connection, source, asked, None, options, "s.t")
    rows = reading.stream(connection, lambda done: None)
    table = pa.Table.from_batches(rows.batches(), rows.schema)
    assert table.num_rows == reading.rows
    return table


def same(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, float):
        return (math.isnan(found) and math.isnan(wanted)) or found == wanted
    return type(found) is type(wanted) and bool(found == wanted)


def as_csv(rows: list[list[str | None]], quoting: Any, end: str) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, quoting=quoting, lineterminator=end)
    writer.writerows(rows)
    return written.getvalue().encode()


def line_of(rows: list[list[str | None]], number: int, quoting: Any, end: str) -> int:
    """The line on which a record starts, by the lines that the records before it take."""
    before = as_csv(rows[:number], quoting, end).decode()
    return len(io.StringIO(before, newline=None).readlines()) + 1


#: Values of one sort more often than of all: a file that is refused at its first row shows little.
alike = st.one_of(
    *(
        st.lists(s, min_size=1, max_size=6)
        for s in (
            numbers,
            digits.map(lambda d: d[:4]),
            st.builds("{}{}".format, clocks, offsets),
            st.builds("{}{}".format, clocks, st.sampled_from(["Z", "+05:30"])),
            clocks,
            st.dates().map(str),
            texts,
        )
    )
)


@given(
    alike,
    st.sampled_from(KINDS),
    st.sampled_from(ZONES),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=120, deadline=None)
def test_csv_into_a_typed_column(
    values: list[str], kind: str, zone: str | None, quoting: Any, end: str
) -> None:
    """The first value that is not of the column's type is named by its line; else all arrive."""
    rows: list[list[str | None]] = [["n", "v"]]
    rows.extend([str(i), v] for i, v in enumerate(values))
    given_: list[str | None] = [v or (None if quoting == csv.QUOTE_MINIMAL else "") for v in values]
    wanted = [value_or_refused(v, kind, zone) for v in given_]
    content = as_csv(rows, quoting, end)
    types = {"n": "BIGINT", "v": kind}
    if REFUSED in wanted:
        with pytest.raises(DataError) as caught:
            read("a.csv", content, types, zone)
        line = line_of(rows, wanted.index(REFUSED) + 1, quoting, end)
        assert f"a.csv:{line}: " in str(caught.value)
        return
    naive = {value_or_refused(v, INSTANT) is REFUSED for v in given_ if v is not None}
    if kind == INSTANT and zone and len(naive) > 1:
        with pytest.raises(DataError, match="mixes"):
            read("a.csv", content, types, zone)
        return
    found = read("a.csv", content, types, zone)["v"].to_pylist()
    assert all(same(f, w) for f, w in zip(found, wanted, strict=True)), (found, wanted)


SPELLED = {
    pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN", pa.int64(): "BIGINT", pa.float64(): "DOUBLE",
    pa.date32(): "DATE", pa.timestamp("us"): "TIMESTAMP", pa.timestamp("us", "UTC"): INSTANT,
}  # fmt: skip

columns = st.one_of(
    *(st.lists(s, min_size=3, max_size=3) for s in (numbers, clocks, st.dates().map(str), texts)),
    st.lists(st.builds("{}{}".format, clocks, st.sampled_from(["Z", "+02:00"])), min_size=3, max_size=3),
    st.lists(st.integers().map(str), min_size=3, max_size=3),
    st.lists(st.sampled_from(["true", "False", ""]), min_size=3, max_size=3),
)  # fmt: skip


@given(st.lists(columns, min_size=1, max_size=3), st.sampled_from(ZONES))
@example([["007", "1", "2"]], None)
@example([["9223372036854775808", "1", "2"]], None)
@example([["9007199254740993", "1.5", "2"]], None)
@settings(max_examples=60, deadline=None)
def test_csv_into_a_new_table(drawn: list[list[str]], zone: str | None) -> None:
    """Whatever type a column gets, each of its values is that type's value of its text."""
    names: list[str | None] = ["n", *(f"c{i}" for i in range(len(drawn)))]
    rows = [names] + [[str(i), *(c[i] for c in drawn)] for i in range(3)]
    try:
        table = read("a.csv", as_csv(rows, csv.QUOTE_MINIMAL, "\n"), None, zone)
    except DataError as error:
        assert any(
            said in str(error)
            for said in ("no value in the file", "mixes kinds", "no time zone", "never was",
                         "not in the calendar")
        ), error  # fmt: skip
        return
    for at, column in enumerate(drawn, 1):
        kind = SPELLED[table.schema.field(at).type]
        wanted = [value_or_refused(v or None, kind, zone) for v in column]
        found = table.column(at).to_pylist()
        assert all(same(f, w) for f, w in zip(found, wanted, strict=True)), (kind, found, wanted)
        # No whole number is -0: only a double keeps its sign.
        whole = all(v.lstrip("-").isdigit() and v != "-0" for v in column if v)
        assert not (whole and kind == "DOUBLE"), "whole numbers stay whole, or text"


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_csv_that_somebody_broke(data: st.DataObject) -> None:
    """One byte more or less: read as Python's csv reads it, or refused by line for what is wrong."""
    cell: st.SearchStrategy[str | None] = st.text('ab ",\n\r;', max_size=5)
    rows = data.draw(st.lists(st.lists(cell, min_size=2, max_size=2), min_size=1, max_size=5))
    content = as_csv([["k", "v"], *rows], csv.QUOTE_MINIMAL, "\n").decode()
    at = data.draw(st.integers(4, len(content)))
    content = (
        content[:at]
        + data.draw(st.sampled_from(['"', ",", "\n", "\r", " ", "x", '""']))
        + (content[at + data.draw(st.integers(0, 1)) :])
    )
    fault = csv_fault(content)
    types = {"k": "VARCHAR", "v": "VARCHAR"}
    try:
        table = read("a.csv", content.encode(), types)
    except DataError as error:
        if "the line ends in" in str(error):
            assert len(set(re.findall("\r\n|\r|\n", content))) > 1
            return
        assert fault is not None, error
        line, what = fault
        assert f"a.csv:{line}: the line is not CSV: " in str(error) and what in str(error), fault
        return
    assert fault is None
    _, *wanted = [r for r in csv.reader(io.StringIO(content, newline=""), strict=True) if r]
    found = [[v or "" for v in row.values()] for row in table.to_pylist()]
    assert found == wanted


def csv_fault(content: str) -> tuple[int, str] | None:
    """The line on which the first record that is wrong starts, and what is wrong with it."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    start = 1
    try:
        for row in reader:
            if row and len(row) != 2:
                return start, f"{len(row)} field"
            if any(field.lstrip(" ").startswith('"') and field[0] == " " for field in row):
                return start, "blanks before a quoted field"
            start = reader.line_num + 1
    except csv.Error as error:
        return start, "never closed" if "end of data" in str(error) else "after the closing quote"
    return None


json_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), texts,
    st.decimals(allow_nan=False, allow_infinity=False, places=12).map(lambda d: float(d)),
)  # fmt: skip


@given(
    st.lists(json_values, min_size=1, max_size=6),
    st.sampled_from([k for k in KINDS if k != "FLOAT"]),
)
@settings(max_examples=80, deadline=None)
def test_json_into_a_typed_column(values: list[Any], kind: str) -> None:
    """Numbers and texts by the rules of CSV; a text column takes text alone, a boolean booleans."""
    lines = [json.dumps({"n": i, "v": v}) for i, v in enumerate(values)]
    wanted = [json_scalar(v, kind) for v in values]
    content = "\n".join(lines).encode()
    types = {"n": "BIGINT", "v": kind}
    exponents = any("e" in line.split('"v"')[1] for line in lines)
    assume(not (exponents and kind.startswith(("DECIMAL", "INT", "BIGINT"))))
    if REFUSED in wanted:
        with pytest.raises(DataError) as caught:
            read("a.jsonl", content, types)
        assert f"a.jsonl:{wanted.index(REFUSED) + 1}: " in str(caught.value)
        return
    found = read("a.jsonl", content, types)["v"].to_pylist()
    assert all(same(f, w) for f, w in zip(found, wanted, strict=True)), (found, wanted)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), json_values), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_json_into_a_new_table(rows: list[dict[str, Any]]) -> None:
    """Objects with keys of their own: a key that is missing is null, all else is as it was."""
    content = "\n".join(json.dumps(row) for row in rows).encode()
    try:
        found = read("a.jsonl", content).to_pylist()
    except DataError:
        return
    for row, arrived in zip(rows, found, strict=True):
        for name, value in arrived.items():
            wanted = row.get(name)
            if isinstance(wanted, str) and not isinstance(value, str):
                kinds = ("DATE", INSTANT)
                assert any(same(value, value_or_refused(wanted, k)) for k in kinds)
            else:
                assert value == wanted or same(value, wanted), (value, wanted)


nanoseconds = st.integers(1 - 2**63, 2**63 - 1) | st.sampled_from([2**63 - 1, 1 - 2**63, 1, -1])
PARQUET: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats() | st.integers(-(2**55), 2**55).map(float),
    pa.decimal128(12, 4): st.decimals(-99999999, 99999999, places=4),
    pa.timestamp("ns"): nanoseconds,
    pa.timestamp("ns", "UTC"): nanoseconds,
    pa.timestamp("ms"): st.integers(-(2**40), 2**40),
    pa.string(): texts,
}
TARGETS = ("INTEGER", "BIGINT", "DOUBLE", "FLOAT", "DECIMAL(10,2)", "TIMESTAMP", INSTANT, "VARCHAR")


@given(st.sampled_from(list(PARQUET)), st.sampled_from((None, *TARGETS)), st.data())
@settings(max_examples=80, deadline=None)
def test_parquet(kind: pa.DataType, target: str | None, data: st.DataObject) -> None:
    """Equal as a number, or the same instant rounded up to the microsecond; else refused by row."""
    values = data.draw(st.lists(st.none() | PARQUET[kind], min_size=1, max_size=5))
    array = pa.array(values, kind)
    with reading("a.parquet", b"") as (path, connection):
        old = kind == pa.timestamp("ns") and data.draw(st.booleans(), "INT96")
        pq.write_table(pa.table({"v": array}), path, use_deprecated_int96_timestamps=old)
        try:
            found = read_path(path, connection, {"v": target} if target else None, "UTC")["v"]
        except DataError as error:
            _check_refused(str(error), values, kind, target)
            return
    if pa.types.is_timestamp(kind):
        unit = {"ns": 1, "ms": 1_000_000}[kind.unit]
        wanted = [None if v is None else -(-int(v) * unit // 1000) for v in values]
        assert found.cast(pa.int64()).to_pylist() == wanted
        return
    for before, after in zip(values, found.to_pylist(), strict=True):
        if pa.types.is_decimal(kind) and isinstance(after, float):
            assert before is not None
            assert target == "FLOAT" or after == float(before)
        else:
            assert same(after, before) or after == before, (before, after)


def test_int96(tmp_path: Path) -> None:
    """Spark's times: of all years in whole microseconds, finer ones as far as DuckDB has them."""
    path = tmp_path / "a.parquet"
    far = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), None]
    pq.write_table(
        pa.table({"v": pa.array(far, pa.timestamp("us")), "n": [[t] for t in far]}),
        path,
        use_deprecated_int96_timestamps=True,
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        found = read_path(path, connection, {"v": INSTANT, "n": "TIMESTAMP[]"}, "UTC")
        assert found["v"].to_pylist() == [t and t.replace(tzinfo=UTC) for t in far]
        assert found["n"].to_pylist() == [[t] for t in far]
        finer = pa.array([1, None, None], pa.timestamp("ns"))
        pq.write_table(
            pa.table({"v": pa.array(far, pa.timestamp("us")), "n": finer}),
            path,
            use_deprecated_int96_timestamps=True,
        )
        with pytest.raises(DataError, match="finer than a microsecond stand beside times before"):
            read_path(path, connection, None, "UTC")


def test_days_of_the_old_calendar(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for day, early in (("1582-10-14", True), ("1582-10-15", False)):
            table = pa.table({"v": [[{"day": date.fromisoformat(day)}]]})
            old = table.replace_schema_metadata({"org.apache.spark.version": "2.4.8"})
            for given in (table, old):
                pq.write_table(given, path)
                if early and given is old:
                    with pytest.raises(DataError, match="column 'v' holds days of the calendar"):
                        read_path(path, connection, None)
                else:
                    assert read_path(path, connection, None).to_pylist() == table.to_pylist()


def test_a_path_that_looks_like_hives_gives_no_values(tmp_path: Path) -> None:
    path = tmp_path / "v=other" / "day=[1]" / "a*.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1], "v": ["mine"]}), path)
    with duckdb.connect() as connection:
        assert read_path(path, connection, None).to_pylist() == [{"id": 1, "v": "mine"}]


def _check_refused(error: str, values: list[Any], kind: pa.DataType, target: str | None) -> None:
    """A type that never fits, or the first row whose value as the target's would be another."""
    if "row" not in error:
        assert target is not None and "in the table" in error
        return
    row = int(error.split("row ")[1].split(":")[0])
    value = values[row - 1]
    assert target is not None and value is not None
    if target in ("DOUBLE", "FLOAT") and isinstance(value, int):
        assert value_or_refused(str(value), target) is REFUSED
    elif target in ("INTEGER", "BIGINT") and isinstance(value, float):
        assert not math.isfinite(value) or value != int(value) or abs(value) >= 2**31
    elif target == "FLOAT":
        assert not math.isfinite(value) or value_or_refused(repr(value), "FLOAT") != value
    else:
        assert value_or_refused(str(value), target) is REFUSED
