"""Columns whose place, name or type in a file is not that of the table as it is now."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
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
    TimestampNanoType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.errors import DataError
from lakehouse.duckdb_types import column_types
from tests.lakehouse.others_write.lakes import OtherEngine, with_id

pytestmark = pytest.mark.many_cases


def one(kind: pa.DataType, *values: Any, **options: bool) -> pa.Table:
    return pa.Table.from_arrays(
        [pa.array(values, kind)], schema=pa.schema([with_id("in_file", kind, 1, **options)])
    )


UTC = dt.UTC
NOON = dt.datetime(2017, 7, 14, 12, 0, 0, 123456)
DEC = decimal.Decimal("1.25")
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")

#: Table type, the file's rows, options of the Parquet writer, the values as read. All but the last
#: of these are held to pyiceberg's reading too.
READ: dict[str, tuple[IcebergType, pa.Table, dict[str, Any], list[Any]]] = {
    "int in long": (LongType(), one(pa.int32(), 5, None), {}, [5, None]),
    "int8 in int": (IntegerType(), one(pa.int8(), -5), {}, [-5]),
    "uint16 in int": (IntegerType(), one(pa.uint16(), 65535), {}, [65535]),
    "uint32 in long": (LongType(), one(pa.uint32(), 2**32 - 1), {}, [2**32 - 1]),
    "float in double": (
        DoubleType(),
        one(pa.float32(), 1.5, float("inf")),
        {},
        [1.5, float("inf")],
    ),
    "narrow decimal": (DecimalType(12, 2), one(pa.decimal128(5, 2), DEC), {}, [DEC]),
    "decimal as int": (
        DecimalType(9, 2),
        one(pa.decimal128(9, 2), DEC, -DEC),
        {"store_decimal_as_integer": True},
        [DEC, -DEC],
    ),
    "decimal as bytes": (
        DecimalType(9, 2),
        one(pa.decimal128(9, 2), DEC, -DEC),
        {"store_decimal_as_integer": False},
        [DEC, -DEC],
    ),
    "wide decimal": (
        DecimalType(38, 2),
        one(pa.decimal128(38, 2), decimal.Decimal("9" * 36 + ".25")),
        {},
        [decimal.Decimal("9" * 36 + ".25")],
    ),
    "naive in zoned": (
        TimestamptzType(),
        one(pa.timestamp("us"), NOON),
        {},
        [NOON.replace(tzinfo=UTC)],
    ),
    "zoned in naive": (
        TimestampType(),
        one(pa.timestamp("us", "UTC"), NOON.replace(tzinfo=UTC)),
        {},
        [NOON],
    ),
    "milliseconds": (
        TimestamptzType(),
        one(pa.timestamp("ms", "UTC"), NOON.replace(microsecond=123000, tzinfo=UTC)),
        {},
        [NOON.replace(microsecond=123000, tzinfo=UTC)],
    ),
    "whole nanoseconds": (TimestampType(), one(pa.timestamp("ns"), NOON, None), {}, [NOON, None]),
    "int96": (
        TimestampType(),
        one(pa.timestamp("us"), NOON, None),
        {"use_deprecated_int96_timestamps": True},
        [NOON, None],
    ),
    "int96 in zoned": (
        TimestamptzType(),
        one(pa.timestamp("us"), NOON),
        {"use_deprecated_int96_timestamps": True},
        [NOON.replace(tzinfo=UTC)],
    ),
    "date": (DateType(), one(pa.date32(), NOON.date()), {}, [NOON.date()]),
    "time": (TimeType(), one(pa.time64("us"), NOON.time()), {}, [NOON.time()]),
    "time of UTC": (
        TimeType(),
        one(pa.time64("us"), NOON.time()),
        {"write_time_adjusted_to_utc": True},
        [NOON.time()],
    ),
    "dictionary": (
        StringType(),
        one(pa.dictionary(pa.int32(), pa.string()), "a", "b", None, "a"),
        {"use_dictionary": True},
        ["a", "b", None, "a"],
    ),
    "large string": (StringType(), one(pa.large_string(), "ä"), {}, ["ä"]),
    "fixed": (FixedType(3), one(pa.binary(3), b"abc"), {}, [b"abc"]),
    "binary": (BinaryType(), one(pa.binary(), b"\x00a"), {}, [b"\x00a"]),
    "required": (LongType(), one(pa.int64(), 5, nullable=False), {}, [5]),
}

#: What pyiceberg reads not, or not rightly.
ONLY_HERE: dict[str, tuple[IcebergType, pa.Table, dict[str, Any], list[Any]]] = {
    "uuid": (UUIDType(), one(pa.uuid(), ID.bytes), {}, [ID]),
    "uuid without its name": (UUIDType(), one(pa.binary(16), ID.bytes), {}, [ID]),
    "JSON": (StringType(), one(pa.json_(), '{"a":  1}'), {}, ['{"a":  1}']),
    "small decimals": (DecimalType(9, 2), one(pa.decimal32(9, 2), DEC), {}, [DEC]),
    "half floats": (DoubleType(), one(pa.float16(), 1.5), {}, [1.5]),
    "time of milliseconds": (
        TimeType(),
        one(pa.time32("ms"), NOON.time().replace(microsecond=0)),
        {},
        [NOON.time().replace(microsecond=0)],
    ),
    "text without its name": (StringType(), one(pa.binary(), "ä".encode()), {}, ["ä"]),
    # Times finer than a microsecond round up, so that no row is visible before its time.
    "nanoseconds": (
        TimestamptzType(),
        one(pa.timestamp("ns", "UTC"), 1_500_000_000_000_000_001, -1, 1_000, -1_001),
        {},
        [
            dt.datetime(2017, 7, 14, 2, 40, 0, 1, UTC),
            dt.datetime(1970, 1, 1, tzinfo=UTC),
            dt.datetime(1970, 1, 1, 0, 0, 0, 1, UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        ],
    ),
}


@pytest.mark.parametrize("name", READ)
def test_values_as_files_encode_them(name: str, lake: Catalog) -> None:
    kind, rows, options, expected = READ[name]
    engine = OtherEngine.create(lake, Schema(NestedField(1, "v", kind)))
    engine.append(rows, **options)
    assert engine.check() == sorted(({"v": v} for v in expected), key=str)


@pytest.mark.parametrize("name", ONLY_HERE)
def test_values_that_pyiceberg_does_not_read(name: str, lake: Catalog) -> None:
    kind, rows, options, expected = ONLY_HERE[name]
    engine = OtherEngine.create(lake, Schema(NestedField(1, "v", kind)))
    engine.append(rows, **options)
    read = [row["v"] for row in engine.read()]
    if isinstance(kind, UUIDType):
        read = [v if isinstance(v, uuid.UUID) else uuid.UUID(str(v)) for v in read]
    assert sorted(read) == sorted(expected)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (IntegerType(), one(pa.int64(), 5)),
        (IntegerType(), one(pa.uint32(), 5)),
        (LongType(), one(pa.uint64(), 5)),
        (LongType(), one(pa.float64(), 5.0)),
        (FloatType(), one(pa.float64(), 5.0)),
        (DecimalType(5, 2), one(pa.decimal128(12, 2), DEC)),
        (DecimalType(12, 3), one(pa.decimal128(12, 2), DEC)),
        (StringType(), one(pa.int32(), 5)),
        (LongType(), one(pa.string(), "5")),
        (DateType(), one(pa.timestamp("us"), NOON)),
        (TimestampType(), one(pa.date32(), NOON.date())),
        (TimeType(), one(pa.time64("ns"), NOON.time())),
        (FixedType(3), one(pa.binary(4), b"abcd")),
        (FixedType(3), one(pa.binary(), b"abc")),
        (DoubleType(), one(pa.decimal256(40, 2), DEC)),
        (DecimalType(38, 2), one(pa.decimal256(40, 2), DEC)),
        (DecimalType(20, 0), one(pa.uint64(), 5)),
        (TimestampType(), one(pa.int64(), 5)),
        (LongType(), one(pa.timestamp("us"), NOON)),
        (BinaryType(), one(pa.uuid(), ID.bytes)),
        (FixedType(16), one(pa.uuid(), ID.bytes)),
        (UUIDType(), one(pa.binary(4), b"abcd")),
        (LongType(), one(pa.list_(pa.int64()), [5])),
        (ListType(2, LongType()), one(pa.int64(), 5)),
    ],
)
def test_types_that_are_no_widening_are_refused(
    kind: IcebergType, rows: pa.Table, lake: Catalog
) -> None:
    engine = OtherEngine.create(lake, Schema(NestedField(1, "v", kind)))
    file = engine.append(rows)
    with pytest.raises(DataError, match=r"column 'v' is .* in the table, and .* in a data fi") as e:
        engine.read()
    assert e.value.where == file.file_path.removeprefix("file://")


def test_columns_added_dropped_renamed_moved_and_widened(lake: Catalog) -> None:
    engine = OtherEngine.create(
        lake,
        Schema(
            NestedField(1, "a", IntegerType()),
            NestedField(2, "b", FloatType()),
            NestedField(3, "c", StringType()),
        ),
    )
    engine.table.append(
        pa.table({"a": pa.array([1], pa.int32()), "b": pa.array([0.5], pa.float32()), "c": ["old"]})
    )
    with engine.table.update_schema() as change:
        change.update_column("a", LongType())
        change.update_column("b", DoubleType())
        change.rename_column("c", "was_c")
        change.add_column("d", DecimalType(5, 1))
        change.move_first("d")
    with engine.table.update_schema() as change:
        change.add_column("c", LongType())
    assert engine.check() == [{"d": None, "a": 1, "b": 0.5, "was_c": "old", "c": None}]
    with engine.table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("b")
    with engine.table.update_schema() as change:
        change.add_column("b", DoubleType())
    assert engine.check()[0]["b"] is None


def test_nested_fields_added_dropped_renamed_moved_and_widened(lake: Catalog) -> None:
    inner = StructType(NestedField(11, "x", IntegerType()), NestedField(12, "y", StringType()))
    schema = Schema(
        NestedField(
            1, "s", StructType(NestedField(5, "n", inner), NestedField(6, "z", DateType()))
        ),
        NestedField(2, "m", MapType(7, StringType(), 8, inner_of(20))),
    )
    engine = OtherEngine.create(lake, schema)
    rows = [
        {
            "s": {"n": {"x": 1, "y": "a"}, "z": NOON.date()},
            "m": [("k", {"x": 3, "y": "b"})],
        },
        {"s": {"n": None, "z": None}, "m": []},
    ]
    engine.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(engine.table.schema())))
    engine.check()
    with engine.table.update_schema() as change:
        change.update_column("s.n.x", LongType())
        change.rename_column("s.n.y", "why")
        change.add_column(("s", "n", "new"), StringType())
        change.move_first("s.z")
        change.update_column("m.value.x", LongType())
        change.rename_column("m.value.y", "w")
    with engine.table.update_schema(allow_incompatible_changes=True) as change:
        change.delete_column("s.n.why")
    with engine.table.update_schema() as change:
        change.add_column(("s", "n", "why"), StringType())
    assert engine.check() == [
        {"s": {"z": None, "n": None}, "m": []},
        {
            "s": {"z": NOON.date(), "n": {"x": 1, "new": None, "why": None}},
            "m": [("k", {"x": 3, "w": "b"})],
        },
    ]


def test_lists_in_lists(lake: Catalog) -> None:
    """pyiceberg reads none."""
    schema = Schema(NestedField(1, "v", ListType(2, ListType(3, IntegerType()))))
    engine = OtherEngine.create(lake, schema)
    rows = [{"v": [[1, 2], []]}, {"v": None}]
    engine.append(pa.Table.from_pylist(rows, schema=schema_to_pyarrow(engine.table.schema())))
    with engine.table.update_schema() as change:
        change.update_column("v.element.element", LongType())
    assert engine.read() == sorted(rows, key=str)


def inner_of(first: int) -> StructType:
    return StructType(
        NestedField(first, "x", IntegerType()), NestedField(first + 1, "y", StringType())
    )


@pytest.mark.parametrize(
    ("kind", "default", "value"),
    [
        (LongType(), 7, 7),
        (StringType(), "it's", "it's"),
        (DateType(), 1, dt.date(1970, 1, 2)),
        (TimestamptzType(), 5, dt.datetime(1970, 1, 1, 0, 0, 0, 5, UTC)),
        (DoubleType(), 0.5, 0.5),
        (DecimalType(5, 2), DEC, DEC),
    ],
)
def test_initial_defaults(kind: IcebergType, default: Any, value: object, lake: Catalog) -> None:
    """Rows written before the column was added read as its initial default."""
    engine = OtherEngine.create(lake, Schema(NestedField(1, "k", LongType())))
    engine.append(one(pa.int64(), 1))
    with engine.table.update_schema() as change:
        change.add_column("v", kind, required=True, default_value=default)
    engine.table.refresh()
    assert engine.check() == [{"k": 1, "v": value}]


def test_a_required_column_that_a_file_lacks(lake: Catalog) -> None:
    schema = Schema(NestedField(1, "k", LongType()), NestedField(2, "v", LongType(), required=True))
    engine = OtherEngine.create(lake, schema)
    rows = pa.Table.from_pylist([{"k": 1}], schema=pa.schema([with_id("k", pa.int64(), 1)]))
    file = engine.append(rows)
    with pytest.raises(DataError, match="a data file lacks the required column 'v'") as info:
        engine.read()
    assert info.value.where == file.file_path.removeprefix("file://")


def test_columns_of_the_table_that_sql_cannot_tell_apart(lake: Catalog) -> None:
    schema = Schema(NestedField(1, "v", LongType()), NestedField(2, "V", LongType()))
    with pytest.raises(DataError, match="columns 'v' and 'V' differ in case alone"):
        OtherEngine.create(lake, schema).read()


def test_types_that_are_not_read_are_named() -> None:
    with pytest.raises(DataError, match="Iceberg type timestamp_ns cannot be read") as info:
        column_types(Schema(NestedField(1, "v", TimestampNanoType())))
    assert info.value.where == "column v"
