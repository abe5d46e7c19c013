"""JSON messages are read as `forebay ingest` reads files, by whichever of the two ways."""

from __future__ import annotations

import contextlib
import json
import string

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
    UUIDType,
)

from lakehouse.stream.read_json import JsonReader
from lakehouse.stream.read_plain import NotPlainError, plain_readers, plain_row

pytestmark = pytest.mark.slow

TYPES: dict[str, IcebergType] = {
    "i": IntegerType(),
    "n": LongType(),
    "x": DoubleType(),
    "s": StringType(),
    "b": BooleanType(),
    "d": DecimalType(10, 2),
    "t": TimestamptzType(),
    "day": DateType(),
}
SCHEMA = Schema(*(NestedField(n, name, kind) for n, (name, kind) in enumerate(TYPES.items(), 1)))


@pytest.fixture(scope="module")
def reader() -> JsonReader:
    return JsonReader(SCHEMA)


_numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z"),
    st.sampled_from(
        ["0", "-0", "-0.0", "0.0", "1e-400", "9007199254740993", "1.10", "12345678.12"]
    ),
)
_times = st.sampled_from(
    [
        "2024-01-31T12:00:00Z",
        "2024-01-31 12:00:00.5Z",
        "2024-02-30T00:00:00Z",
        "2024-01-31",
        "2024-01-31T12:00:00",
        "2024-01-31T12:00:00.1234567Z",
        "2024-01-31T12:00:00+05:30",
        "2024-01-31T24:00:00Z",
        "2024-01-31T12:00:60Z",
        "0001-01-01T00:00:00+14:00",
        "20240131",
        "2024-01-31T12:00:00+24:00",
        "2024-01-31T12:00:00-00:00",
        "2024-13-01",
        "2023-02-29",
    ]
)
_texts = st.one_of(st.text(max_size=6), st.text(string.printable, max_size=6), _times)
_values = st.one_of(_numbers, _texts.map(json.dumps), st.sampled_from(["null", "true", "[]", "{}"]))
_messages = st.lists(st.tuples(st.sampled_from(list(TYPES)), _values), max_size=4).map(
    lambda pairs: "{" + ", ".join(f"{json.dumps(k)}: {v}" for k, v in pairs) + "}"
)


@settings(max_examples=40)
@given(st.lists(_messages, min_size=10, max_size=40))
def test_what_is_plain_is_what_sql_makes_of_it(messages: list[str]) -> None:
    """The quick reader either says nothing, or says what SQL says."""
    reader = _by_sql()
    columns = plain_readers(reader._types)
    plain: dict[int, list[object]] = {}
    for place, message in enumerate(messages):
        with contextlib.suppress(NotPlainError):
            plain[place] = plain_row(message, columns)
    if not plain:
        return
    read, places, bad = reader._read_doubtful([(n, messages[n]) for n in plain])
    assert not bad, [(messages[b.place], b) for b in bad]
    assert places == list(plain)
    arrays = zip(*plain.values(), strict=True)
    fields = reader._schema
    quick = pa.table([pa.array(a, f.type) for a, f in zip(arrays, fields, strict=True)], fields)
    # As text: the sign of zero counts.
    for place, by_sql, by_hand in zip(places, read.to_pylist(), quick.to_pylist(), strict=True):
        assert repr(by_sql) == repr(by_hand), messages[place]


_readers: list[JsonReader] = []


def _by_sql() -> JsonReader:
    if not _readers:
        _readers.append(JsonReader(SCHEMA))
    return _readers[0]


def test_order_stays_whichever_way_a_row_is_read(reader: JsonReader) -> None:
    values = [b'{"n": 1}', b'{"x": 12345678901234567.5}', b"bad", b'{"n": 3}', b'{"n": -0.0}']
    read = reader.read(values)
    assert read.rows.column("n").to_pylist() == [1, None, 3, 0]
    assert [b.place for b in read.bad] == [2]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"n": 1,}', "not JSON"),
        (b'{"n": 1, "n": 2}', "the key 'n' twice"),
        (b'{"N": 1}', "no column 'N'"),
        (b'{"n": 1.5}', "does not hold '1.5'"),
        (b'{"i": 3000000000}', "does not hold '3000000000'"),
        (b'{"s": 1}', "does not hold '1'"),
        (b'{"t": "2024-01-01T00:00:00"}', "has no time zone"),
        (b'{"d": 1.234}', "does not hold '1.234'"),
        (b'{"s": "\\ud800"}', "half character"),
        (b'{"n": 1} x', "not JSON"),
    ],
)
def test_why_a_message_is_no_row(reader: JsonReader, message: bytes, reason: str) -> None:
    read = reader.read([message])
    assert read.rows.num_rows == 0
    assert reason in read.bad[0].reason


def test_required_columns_and_rarer_types() -> None:
    nested = ListType(4, LongType(), element_required=False)
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "u", UUIDType()),
        NestedField(3, "l", nested),
    )
    values = [
        b'{"id": 1, "u": "6f1e6f0e-0d3c-4c55-8f0e-3b1e2a4c5d6e", "l": [1, null]}',
        b'{"u": null}',
        b'{"id": 2, "u": "no"}',
        b'{"id": 3, "l": [1, "x"]}',
    ]
    read = JsonReader(schema).read(values)
    assert read.rows.column("id").to_pylist() == [1]
    assert str(read.rows.column("u").to_pylist()[0]) == "6f1e6f0e-0d3c-4c55-8f0e-3b1e2a4c5d6e"
    assert [b.place for b in read.bad] == [1, 2, 3]
    assert "may not be null" in read.bad[0].reason
