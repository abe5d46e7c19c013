"""Files that are named, packed or broken oddly: the right rows, or the line and what fixes it."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import FixedType, LongType, MapType, NestedField, StringType, UUIDType

from feature_specs.errors import DataError
from lakehouse.ingest.files import ingest_file
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.read_rows import read_rows
from lakehouse.ingest.source import FileOptions, parse_types
from lakehouse.lake import find_table, load_table
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.many_cases


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


Types = dict[str, str | None]


def read(
    connection: duckdb.DuckDBPyConnection, path: Path, types: Types | None = None, **options: Any
) -> pa.Table:
    given = FileOptions(types={n: k for n, k in (types or {}).items() if k}, **options)
    source = open_source(connection, path, given, path.parent)
    asked = {n: (types or {}).get(n) for n in source.kinds}
    reading = read_rows(connection, source, asked, None, given, "s.t")
    rows = reading.stream(connection, lambda done: None)
    return pa.Table.from_batches(rows.batches(), rows.schema)


def refusal(
    connection: duckdb.DuckDBPyConnection, path: Path, types: Types | None = None, **options: Any
) -> str:
    with pytest.raises(DataError) as caught:
        read(connection, path, types, **options)
    return str(caught.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "it's", "a{1,2}", "-", "ä\n"])
@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
def test_a_name_that_looks_like_a_pattern_is_a_name(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, end: str
) -> None:
    """A folder `day=1` is not a column either."""
    folder = tmp_path / "day=1"
    folder.mkdir()
    for stem, value in (("a1", 9), ("a2", 9), (name, 1)):
        path = folder / f"{stem}.{end}"
        if end == "parquet":
            pq.write_table(pa.table({"v": [value]}), path)
        else:
            path.write_text(f"v\n{value}\n" if end == "csv" else f'{{"v": {value}}}\n')
    assert read(connection, path).to_pylist() == [{"v": 1}]


def test_what_is_no_file_is_said(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    (tmp_path / "a.csv").mkdir()
    os.mkfifo(tmp_path / "b.csv")
    (tmp_path / "c.csv").symlink_to("nowhere.csv")
    said = {
        "a.csv": "it is a folder",
        "b.csv": "it is a stream",
        "c.csv": "it is a link to nowhere.csv, which is not there",
        "*.csv": "patterns are not expanded",
        "d.csv": "there is no such file. Hint: check the path",
    }
    for name, what in said.items():
        assert what in refusal(connection, tmp_path / name)
    with pytest.raises(DataError, match="standard input: it is a stream"):
        open_source(connection, Path("-"), FileOptions(), tmp_path)


def test_a_link_to_a_file_is_the_file(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    (tmp_path / "a.csv").write_text("v\n1\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    assert read(connection, tmp_path / "b.csv").to_pylist() == [{"v": 1}]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\r\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("end", ["csv", "json", "jsonl", "csv.gz", "json.gz"])
def test_nothing_in_it(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, content: bytes, end: str
) -> None:
    path = tmp_path / f"a.{end}"
    path.write_bytes(gzip.compress(content) if end.endswith("gz") else content)
    said = "there is no header line" if "csv" in end else "there are no rows in it"
    assert said in refusal(connection, path)


BROKEN = {
    "a short line": ("k,v\na,1\nb\n", "3: the line is not CSV: 1 field, where the header has 2"),
    "a long line": ("k,v\na,1\nb,2,3\n", "3: the line is not CSV: 3 fields, where the header has 2"),
    "never closed": ('k,v\na,1\n"b,2\nc,3\n', "3: the line is not CSV: a quoted field that is never"
                     " closed. Hint: close the quote"),
    "behind a quote": ('k,v\na,1\n"b"x,2\n', "3: the line is not CSV: text after the closing quote of"
                       " a field. Hint: double the quotes inside of a quoted field"),
    "a backslash": ('k,v\n"a\\"b",1\n', "2: the line is not CSV: text after the closing quote"),
    "before a quote": ('k,v\na, "b"\n', "2: the line is not CSV: blanks before a quoted field."
                       " Hint: take out the blanks"),
    "a blank line": ("k\na\n\nb\n", "3: the line is not CSV: a blank line, which may be a missing"
                     ' value or nothing. Hint: take it out, or write ""'),
    "alike": ("k,K\n1,2\n", "1: two columns are named alike: 'k' and 'K'"),
    "no name": ("\nk,\n1,2\n", "2: column 2 has no name"),
    "NUL": ("k,v\na,\0\n", "2: the line holds a NUL byte"),
    "two ends": ('k,v\na,1\r\n"b\nc",2\n', "2: the line ends in CRLF, and those before it in LF."
                 " Hint: write the same line ends everywhere"),
    "other fields": ("k;v\na;1\n", "1: its only column is 'k;v'. Hint: say --delimiter ';'"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_csv_is_refused_by_line_for_what_is_wrong(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, lake: Catalog, what: str
) -> None:
    content, said = BROKEN[what]
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode())
    with pytest.raises(DataError) as caught:
        ingest_file(lake, "s.t", path, mode="append", options=FileOptions(types={"k": "varchar"}))
    assert f"{path}:{said}" in str(caught.value)
    assert find_table(lake, "s.t") is None


LINES = {
    "crlf": ("k,v\r\na,1\r\nb,x\r\n", 3),
    "cr": ("k,v\ra,1\rb,x\r", 3),
    "mixed": ("k,v\na,1\r\nb,2\rc,x\n", 4),
    "a quoted end": ('k,v\r\n"a\r\nb",1\r\nc,x\r\n', 4),
    "blank lines": ("\n\nk,v\n\na,1\n\n\nb,x\n", 8),
    "BOM": ("\ufeffk,v\na,1\nb,x", 3),
    "BOM and quotes": ('\ufeff"k","v"\na,1\nb,x', 3),
    "header of two lines": ('\n"k","v\nw"\na,1\nb,x\n', 5),
    "separators that are no ends": ("k,v\na\x0b\x1c\x85\u2028,1\nb,x\n", 3),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("what", LINES)
def test_a_value_is_refused_by_its_line(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, what: str, packed: bool
) -> None:
    content, line = LINES[what]
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    raw = content.encode()
    path.write_bytes(gzip.compress(raw) if packed else raw)
    types: Types = {"k": "VARCHAR", "v": "BIGINT", "v\nw": "BIGINT"}
    said = refusal(connection, path, {n: k for n, k in types.items() if n in content})
    assert said.startswith(f"{path.name}:{line}: ") and "'x'" in said
    path.write_bytes(gzip.compress(raw.replace(b"x", b"7")) if packed else raw.replace(b"x", b"7"))
    assert read(connection, path).column(1).to_pylist()[-1] == 7


def test_gzip_that_ends_early_or_has_several_members(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"v\n1\n") + gzip.compress(b"2\n"))
    assert read(connection, path)["v"].to_pylist() == [1, 2]
    for content in (b"v\n1\n", gzip.compress(b"v\n1\n")[:-4], gzip.compress(b"v\n1\n") + b"more"):
        path.write_bytes(content)
        assert "the gzip stream is broken or ends early" in refusal(connection, path)


def test_very_long_values(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    text = "x" * 3_000_000 + "ä"
    for name, content in {
        "a.csv": f'k,v\n1,{text}\n2,"{text}"\n',
        "a.jsonl": f'{{"k": 1, "v": "{text}"}}\n{{"k": 2, "v": "{text}"}}\n',
        "a.json": f'[{{"k": 1, "v": "{text * 6}"}}, {{"k": 2, "v": "{text}"}}]',
    }.items():
        (tmp_path / name).write_text(content)
        assert read(connection, tmp_path / name)["v"].to_pylist()[1] == text


JSON = {
    "numbers and text": ('{"v": 1}\n{"v": null}\n{"v": "x"}\n', None, "3: column 'v' mixes numbers"
                         " and text"),
    "half a character": ('{"v": "a"}\n{"v": "\\\\u1 \\ud800"}\n', None, "2: \\ud800 is half of a"),
    "a comma too many": ('{"v": ",}"}\n{"v": 1,}\n', None, "2: it is not JSON: a comma stands"),
    "a value too few": ('{"v": [1]}\n{"v": [1, ]}\n', None, "2: it is not JSON: a comma stands"),
    "digits": ('{"v": {"a": 1.10000000000000000001}}\n', "JSON", "1: column 'v' is JSON, which"),
    "38 digits": ('{"v": 100000000000000000000000000000000000000}', "DECIMAL(38,0)", "1: column 'v'"),
    "too large": ('{"v": 1}\n{"v": 1180591620717411303425}', None,
                  "2: column 'v' has '1180591620717411303425', a number that neither"),
    "a zone within": ('{"v": ["2024-01-01T00:00:00"]}', "TIMESTAMP WITH TIME ZONE[]",
                      "1: column 'v' is TIMESTAMP WITH TIME ZONE[]"),
    "key of a map": ('{"v": {"a": 1}}\n{"v": {"a": 1, "a": 2}}', "MAP(VARCHAR, BIGINT)", "2: column"),
    "value of a map": ('{"v": {"a": 1}}\n{"v": {"a": 1.5}}', "MAP(VARCHAR, BIGINT)", "2: column"),
}  # fmt: skip


@pytest.mark.parametrize("what", JSON)
def test_json_is_refused_by_its_line(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, what: str
) -> None:
    content, kind, said = JSON[what]
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    assert f"a.jsonl:{said}" in refusal(connection, path, {"v": kind}, timezone="Europe/Berlin")


def test_json_lines_may_hold_several_objects_or_parts_of_them(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"v": 1}{"v": 2}\n{"v":\n 3}\n')
    assert read(connection, path)["v"].to_pylist() == [1, 2, 3]
    path.write_text('{"v": {"a/b": 1, "~": null}}\n{"v": {}}\n{"v": null}\n')
    found = read(connection, path, {"v": "MAP(VARCHAR, BIGINT)"})["v"].to_pylist()
    assert found == [[("a/b", 1), ("~", None)], [], None]
    path.write_text('{"v": {"b": 1.50, "a": "0.10000000000000000001"}}\n')
    assert read(connection, path, {"v": "JSON"})["v"].to_pylist() == [
        '{"b":1.5,"a":"0.10000000000000000001"}'
    ]


PARQUET = {
    "decimal of 50 digits": (pa.array([Decimal("1.5")], pa.decimal256(50, 2)), "nearest double"),
    "a duration": (pa.array([5], pa.duration("us")), "a number without a unit"),
    "fields alike": (pa.array([{"a": 1, "A": 2}]), "named alike: 'a' and 'A'"),
    "no value": (pa.nulls(2), "column 'v' has no value in the file"),
    "local times within": (pa.array([[1]], pa.list_(pa.timestamp("us"))), "'v timestamp[]'"),
}


@pytest.mark.parametrize("what", PARQUET)
def test_parquet_that_would_change_is_refused(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, what: str
) -> None:
    values, said = PARQUET[what]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"v": values}), path)
    assert said in refusal(connection, path)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[255, None]], pa.list_(pa.uint8())),
        pa.array([[2**64 - 1]], pa.list_(pa.uint64())),
        pa.array([[1, 2]], pa.list_(pa.int64(), 2)),
        pa.array([{"a": 1, "b c": [{"d": -1}]}, None], pa.struct(
            [("a", pa.int16()), ("b c", pa.list_(pa.struct([("d", pa.int8())])))])),
        pa.array([[("a", 1), ("b", None)], []], pa.map_(pa.string(), pa.uint16())),
    ],
)  # fmt: skip
def test_nested_parquet_arrives_twice(lake: Catalog, tmp_path: Path, values: pa.Array) -> None:
    """In a table that it makes, and then in the table that it made."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"v": values}), path)
    for times in (1, 2):
        ingest_file(lake, "s.t", path, mode="append")
        assert read_arrow(load_table(lake, "s.t"))["v"].to_pylist() == values.to_pylist() * times


def test_columns_that_only_others_make(lake: Catalog, tmp_path: Path) -> None:
    """UUID and FIXED, which forebay itself stores as text and binary; required map values."""
    lake.create_namespace("s")
    kinds = {"u": UUIDType(), "f": FixedType(2), "m": MapType(3, StringType(), 4, LongType())}
    for name, kind in kinds.items():
        lake.create_table(f"s.{name}", Schema(NestedField(1, "v", kind, required=False)))
    file, parquet = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    text = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    file.write_text(f'{{"v": "{text}"}}\n{{"v": null}}\n')
    ingest_file(lake, "s.u", file, mode="append")
    arrived = read_arrow(load_table(lake, "s.u"))["v"].to_pylist()
    assert [v and str(v) for v in arrived] == [text, None]
    pq.write_table(pa.table({"v": [b"ab", b"abc"]}), parquet)
    with pytest.raises(DataError, match=r"a.parquet, row 2: the table's columns do not hold"):
        ingest_file(lake, "s.f", parquet, mode="append")
    file.write_text('{"v": {"a": null}}\n')
    with pytest.raises(DataError, match=r"columns of table s.m do not hold its values"):
        ingest_file(lake, "s.m", file, mode="append")


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    lake: Catalog, tmp_path: Path, end: str
) -> None:
    path = tmp_path / f"a.{end}"

    def write(values: list[int]) -> None:
        if end == "csv":
            path.write_text("\n".join(map(str, ["v", *values])))
        else:
            pq.write_table(pa.table({"v": values}), path)

    def told(*_: object) -> None:
        write([3, 4, 5])

    write([1, 2])
    with pytest.raises(DataError, match="changed while it was read"):
        ingest_file(lake, "s.t", path, mode="append", progress=told)
    assert find_table(lake, "s.t") is None
    assert not list(tmp_path.glob("lake/**/*.parquet"))
    ingest_file(lake, "s.t", path, mode="append")
    assert sorted(read_arrow(load_table(lake, "s.t"))["v"].to_pylist()) == [3, 4, 5]


def test_types_are_split_where_no_bracket_is_open() -> None:
    assert parse_types('a struct(b int, "c,d" decimal(10,2)), "e f" bigint') == {
        "a": 'struct(b int, "c,d" decimal(10,2))',
        "e f": "bigint",
    }
