"""Avro messages are read as fastavro writes them, exactly, or rejected with the reason."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.errors import DataError
from lakehouse.stream.avro_columns import MisfitError
from lakehouse.stream.read_avro import AvroReader
from lakehouse.stream.rows import ReadRows


def _logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name, **more}


_TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
_INSTANTS = _TIMES.map(lambda t: t.replace(tzinfo=UTC))
_ENUM = {"type": "enum", "name": "Kind", "symbols": ["a", "b", "c"]}
_FIXED = {"type": "fixed", "name": "Four", "size": 4}
_LONGS = st.integers(-(2**63), 2**63 - 1)

#: Of each column its Avro type, the table's type, and values that are written and are to be read.
COLUMNS: dict[str, tuple[Any, IcebergType, st.SearchStrategy[Any]]] = {
    "yes": ("boolean", BooleanType(), st.booleans()),
    "small": ("int", IntegerType(), st.integers(-(2**31), 2**31 - 1)),
    "wide": ("int", LongType(), st.integers(-(2**31), 2**31 - 1)),
    "large": ("long", LongType(), _LONGS),
    "x": ("double", DoubleType(), st.floats(allow_nan=False)),
    "f": ("float", FloatType(), st.floats(width=32, allow_nan=False)),
    "f_wide": ("float", DoubleType(), st.floats(width=32, allow_nan=False)),
    "text": ("string", StringType(), st.text(st.characters(codec="utf-8"), max_size=9)),
    "kind": (_ENUM, StringType(), st.sampled_from("abc")),
    "kind_again": ("Kind", StringType(), st.sampled_from("abc")),
    "raw": ("bytes", BinaryType(), st.binary(max_size=9)),
    "four": (_FIXED, FixedType(4), st.binary(min_size=4, max_size=4)),
    "uuid": (_logical("string", "uuid"), UUIDType(), st.uuids()),
    "money": (
        _logical("bytes", "decimal", precision=38, scale=9),
        DecimalType(38, 9),
        st.integers(-(10**38) + 1, 10**38 - 1).map(
            lambda n: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -9))
        ),
    ),
    "cents": (
        {
            "type": "fixed",
            "name": "Cents",
            "size": 8,
            "logicalType": "decimal",
            "precision": 10,
            "scale": 2,
        },
        DecimalType(12, 4),
        st.integers(-(10**10) + 1, 10**10 - 1).map(lambda n: Decimal(n).scaleb(-2)),
    ),
    "day": (_logical("int", "date"), DateType(), st.dates()),
    "at": (_logical("long", "timestamp-micros"), TimestamptzType(), _INSTANTS),
    "at_ms": (
        _logical("long", "timestamp-millis"),
        TimestamptzType(),
        _INSTANTS.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
    ),
    "local": (_logical("long", "local-timestamp-micros"), TimestampType(), _TIMES),
    "clock": (_logical("long", "time-micros"), TimeType(), st.times()),
    "clock_ms": (
        _logical("int", "time-millis"),
        TimeType(),
        st.times().map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)),
    ),
    "many": (
        {"type": "array", "items": ["null", _logical("long", "timestamp-micros")]},
        ListType(201, TimestamptzType(), element_required=False),
        st.lists(st.none() | _INSTANTS, max_size=3),
    ),
    "named": (
        {"type": "map", "values": "long"},
        MapType(211, StringType(), 212, LongType(), value_required=False),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), _LONGS, max_size=3),
    ),
    "inner": (
        {
            "type": "record",
            "name": "Inner",
            "fields": [
                {"name": "n", "type": ["null", "long"]},
                {"name": "d", "type": _logical("bytes", "decimal", precision=4, scale=1)},
            ],
        },
        StructType(NestedField(221, "n", LongType()), NestedField(222, "d", DecimalType(4, 1))),
        st.fixed_dictionaries(
            {
                "n": st.none() | _LONGS,
                "d": st.integers(-9999, 9999).map(lambda n: Decimal(n).scaleb(-1)),
            }
        ),
    ),
}
SCHEMA = Schema(
    *(NestedField(n, name, kind) for n, (name, (_, kind, _)) in enumerate(COLUMNS.items(), 1))
)
RECORD = {
    "type": "record",
    "name": "shop.Row",
    "fields": [
        {"name": name, "type": ["null", avro] if n % 2 else [avro, "null"]}
        for n, (name, (avro, _, _)) in enumerate(COLUMNS.items())
    ],
}
_PARSED: Any = fastavro.parse_schema(RECORD)
_rows = st.fixed_dictionaries({n: st.none() | values for n, (_, _, values) in COLUMNS.items()})


def encode(row: dict[str, Any], schema: Any = _PARSED) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, row)
    return out.getvalue()


@pytest.fixture(scope="module")
def reader() -> AvroReader:
    return AvroReader(SCHEMA, json.dumps(RECORD))


@given(rows=st.lists(_rows, max_size=4))
def test_values_come_through_unchanged(reader: AvroReader, rows: list[dict[str, Any]]) -> None:
    read = reader.read([encode(row) for row in rows])
    assert not read.bad
    found = read.rows.to_pylist()
    for row in found:
        row["named"] = None if row["named"] is None else dict(row["named"])
    assert found == rows
    assert read.rows.schema.equals(SCHEMA.as_arrow())


@given(row=_rows, cut=st.floats(0, 0.999), more=st.binary(min_size=1, max_size=3))
def test_what_is_cut_off_or_too_long_is_no_row(
    reader: AvroReader, row: dict[str, Any], cut: float, more: bytes
) -> None:
    whole = encode(row)
    read = reader.read([whole[: int(len(whole) * cut)], whole, whole + more])
    assert [b.place for b in read.bad] == [0, 2]
    assert all("it is not of its Avro schema" in b.reason for b in read.bad)
    assert read.rows.num_rows == 1


@given(junk=st.binary(max_size=40))
def test_junk_never_ends_it(reader: AvroReader, junk: bytes) -> None:
    read = reader.read([junk])
    assert len(read.bad) + read.rows.num_rows == 1


def one(avro: Any, kind: IcebergType, *encoded: Any, required: bool = False) -> ReadRows:
    """Values of one column, written with their bare types."""
    schema = Schema(NestedField(1, "c", kind, required=required))
    record = {"type": "record", "name": "R", "fields": [{"name": "c", "type": avro}]}
    reader = AvroReader(schema, json.dumps(record))
    bare = {"type": "record", "name": "R", "fields": [{"name": "c", "type": _bare(avro)}]}
    parsed: Any = fastavro.parse_schema(bare)
    return reader.read([encode({"c": v}, parsed) for v in encoded])


def _bare(avro: Any) -> Any:
    if isinstance(avro, list):
        return [_bare(a) for a in avro]
    return avro["type"] if isinstance(avro, dict) and "logicalType" in avro else avro


def _unscaled(number: int) -> bytes:
    return number.to_bytes(20, "big", signed=True)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("avro", "kind", "encoded", "wanted"),
    [
        ("long", IntegerType(), 2**31 - 1, 2**31 - 1),
        ("long", IntegerType(), 2**31, None),
        ("long", DoubleType(), 2**53, 2.0**53),
        ("long", DoubleType(), 2**53 + 1, None),
        ("long", DecimalType(5, 2), 999, Decimal("999.00")),
        ("long", DecimalType(5, 2), 1000, None),
        ("double", FloatType(), 0.5, 0.5),
        ("double", FloatType(), 0.1, None),
        ("double", FloatType(), 1e300, None),
        # More digits than its own schema says, which libraries round.
        (_logical("bytes", "decimal", precision=3, scale=2), DecimalType(38, 2), _unscaled(10**30 + 1), Decimal("10000000000000000000000000000.01")),
        (_logical("bytes", "decimal", precision=9, scale=4), DecimalType(9, 2), _unscaled(12300), Decimal("1.23")),
        (_logical("bytes", "decimal", precision=9, scale=4), DecimalType(9, 2), _unscaled(-12345), None),
        (_logical("bytes", "decimal", precision=9), DecimalType(4, 2), _unscaled(100), None),
        (_logical("long", "timestamp-nanos"), TimestamptzType(), -1000, _EPOCH - timedelta(microseconds=1)),
        (_logical("long", "timestamp-nanos"), TimestamptzType(), 1001, None),
        (_logical("long", "timestamp-millis"), TimestamptzType(), 2**62, None),
        (_logical("long", "timestamp-micros"), TimestamptzType(), 253_402_300_799_999_999, datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        (_logical("long", "timestamp-micros"), TimestamptzType(), 253_402_300_800_000_000, None),
        (_logical("long", "timestamp-micros"), TimestamptzType(), -62_135_596_800_000_000, datetime(1, 1, 1, tzinfo=UTC)),
        (_logical("long", "timestamp-micros"), TimestamptzType(), -62_135_596_800_000_001, None),
        (_logical("int", "date"), DateType(), 2_932_896, date(9999, 12, 31)),
        (_logical("int", "date"), DateType(), 2_932_897, None),
        (_logical("long", "time-micros"), TimeType(), 86_399_999_999, time(23, 59, 59, 999999)),
        (_logical("long", "time-micros"), TimeType(), 86_400_000_000, None),
        (_logical("string", "uuid"), UUIDType(), "12345678-1234-5678-1234-567812345678", UUID(int=0x12345678123456781234567812345678)),
        (_logical("string", "uuid"), UUIDType(), "12345678", None),
        ("bytes", FixedType(2), b"ab", b"ab"),
        ("bytes", FixedType(2), b"abc", None),
    ],
)  # fmt: skip
def test_what_a_column_does_not_hold_is_no_row(
    avro: Any, kind: IcebergType, encoded: Any, wanted: object
) -> None:
    read = one(avro, kind, encoded)
    if wanted is None:
        ((_, reason),) = read.bad
        assert "column 'c'" in reason and read.rows.num_rows == 0
    else:
        assert not read.bad
        assert read.rows.to_pylist() == [{"c": wanted}]


def test_an_enum_has_no_symbol_before_its_first() -> None:
    """An index of -1 is no last symbol."""
    enum = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
    schema = Schema(NestedField(1, "c", StringType()))
    record = {"type": "record", "name": "R", "fields": [{"name": "c", "type": enum}]}
    read = AvroReader(schema, json.dumps(record)).read([b"\x00", b"\x02", b"\x01", b"\x04"])
    assert read.rows.column(0).to_pylist() == ["a", "b"]
    assert [b.place for b in read.bad] == [2, 3]


@pytest.mark.parametrize(
    ("avro", "kind", "said"),
    [
        ("string", LongType(), "an Avro string, and the table's column is long"),
        ("long", TimestamptzType(), "an Avro long, and the table's column is timestamptz"),
        (_logical("long", "timestamp-micros"), TimestampType(), "timestamp-micros"),
        (_logical("long", "local-timestamp-micros"), TimestamptzType(), "local-timestamp-micros"),
        (_logical("long", "timestamp-micros"), LongType(), "timestamp-micros"),
        ("float", DecimalType(9, 2), "an Avro float"),
        (["null", "long", "string"], StringType(), "a union of several types"),
        ("R", StringType(), "an Avro R"),
        ("strin", StringType(), "not an Avro schema"),
    ],
)
def test_a_schema_that_never_fits_is_refused(avro: Any, kind: IcebergType, said: str) -> None:
    with pytest.raises(DataError, match=said):
        one(avro, kind)


def test_a_required_column_is_not_null() -> None:
    read = one(["null", "long"], LongType(), None, 5, required=True)
    assert [b.reason for b in read.bad] == ["column 'c' may not be null"]
    assert read.rows.to_pylist() == [{"c": 5}]


def test_each_message_is_read_by_the_schema_that_it_names() -> None:
    schema = Schema(NestedField(1, "a", LongType()), NestedField(2, "b", StringType()))
    texts: dict[int, list[tuple[str, Any]]] = {
        7: [("a", "long")],
        8: [("b", "string"), ("a", ["null", "int"])],
        9: [("a", "long"), ("c", "long")],
    }
    parsed: dict[int, Any] = {
        n: {"type": "record", "name": "R", "fields": [{"name": f, "type": t} for f, t in fields]}
        for n, fields in texts.items()
    }
    asked: list[int] = []

    def schema_of(number: int) -> str:
        asked.append(number)
        if number not in parsed:
            raise MisfitError(f"the registry has no schema {number}")
        return json.dumps(parsed[number])

    def framed(number: int, row: dict[str, Any]) -> bytes:
        told = parsed.get(number, parsed[7])
        return b"\0" + number.to_bytes(4, "big") + encode(row, fastavro.parse_schema(told))

    messages = [
        framed(7, {"a": 1}),
        framed(8, {"a": 2, "b": "x"}),
        framed(9, {"a": 3, "c": 1}),
        framed(10, {"a": 4}),
        framed(7, {"a": 5}),
        b"\1" + framed(7, {"a": 6})[1:],
        b"",
        None,
    ]
    read = AvroReader(schema, schema_of=schema_of).read(messages)
    assert read.rows.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}, {"a": 5, "b": None}]
    assert [b.place for b in read.bad] == [2, 3, 5, 6, 7]
    assert "has no column 'c'" in read.bad[0].reason and "no schema 10" in read.bad[1].reason
    assert asked == [7, 8, 9, 10]


def test_a_map_that_has_a_key_twice_is_no_row() -> None:
    """Whichever of the two values it kept would be a guess."""
    avro = {"type": "map", "values": "long"}
    kind = MapType(2, StringType(), 3, LongType())
    record = {"type": "record", "name": "R", "fields": [{"name": "c", "type": avro}]}
    reader = AvroReader(Schema(NestedField(1, "c", kind)), json.dumps(record))
    a, again, b = b"\x02a\x02", b"\x02a\x04", b"\x02b\x04"
    read = reader.read(
        [
            b"\x04" + a + again + b"\x00",
            # In blocks of one entry each, of which the second says its length in bytes.
            b"\x02" + a + b"\x01\x06" + b + b"\x00",
            b"\x02" + a + b"\x01\x06" + again + b"\x00",
            b"\x00",
        ]
    )
    assert [(bad.place, bad.reason) for bad in read.bad] == [
        (0, "'c' has the key 'a' twice"),
        (2, "'c' has the key 'a' twice"),
    ]
    assert read.rows.column(0).to_pylist() == [[("a", 1), ("b", 2)], []]
