"""Times finer than a microsecond, as Spark, Hive, Impala and pandas write them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import (
    IcebergType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
)

from tests.lakehouse.others_write.lakes import OtherEngine, with_id

EPOCH = dt.datetime(1970, 1, 1)
INT96 = {"use_deprecated_int96_timestamps": True}
NS = pa.timestamp("ns")
#: 2**63 - 1 is pandas' Timestamp.max, its negative Timestamp.min.
EDGES = (2**63 - 1, 1 - 2**63, 0, 1, -1, 999, 1000, 1001, -999, -1000, -1001, 10**18 + 1)


def up(nanoseconds: int | None) -> dt.datetime | None:
    """The first microsecond that is no earlier."""
    if nanoseconds is None:
        return None
    return EPOCH + dt.timedelta(microseconds=-(-nanoseconds // 1000))


def file_of(values: Iterable[int | None], kind: pa.DataType = NS) -> pa.Table:
    values = list(values)
    columns = [pa.array(range(len(values)), pa.int64()), pa.array(values, kind)]
    return pa.table(
        columns, schema=pa.schema([with_id("id", pa.int64(), 1), with_id("t", kind, 2)])
    )


def times(engine: OtherEngine) -> list[Any]:
    return [row["t"] for row in sorted(engine.read(), key=lambda row: row["id"])]


@pytest.mark.parametrize("kind", [TimestampType(), TimestamptzType()], ids=str)
@pytest.mark.parametrize("options", [INT96, {}], ids=["int96", "nanos"])
def test_nanoseconds_round_up(kind: IcebergType, options: dict[str, bool], lake: Catalog) -> None:
    """No row is visible before its time; DuckDB alone would cut INT96 down."""
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "t", kind))
    zone = dt.UTC if isinstance(kind, TimestamptzType) else None
    drawn = random.Random(1)
    values = [*EDGES, None, *(drawn.randrange(1 - 2**63, 2**63) for _ in range(3000))]
    engine = OtherEngine.create(lake, schema)
    engine.append(file_of(values), row_group_size=1000, **options)
    assert times(engine) == [v and v.replace(tzinfo=zone) for v in map(up, values)]


def test_int96_beyond_the_years_of_nanoseconds(lake: Catalog) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "t", TimestamptzType()))
    engine = OtherEngine.create(lake, schema)
    far = [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None]
    engine.append(file_of(far, pa.timestamp("us")), **INT96)  # type: ignore[arg-type]
    assert times(engine) == [v and v.replace(tzinfo=dt.UTC) for v in far]


def test_int96_beside_other_files_with_deletes_and_without_ids(lake: Catalog) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "t", TimestampType()))
    engine = OtherEngine.create(lake, schema, mapped=True)
    first = engine.append(file_of([1, 2_001, 3_000]).replace_schema_metadata(), **INT96)
    plain = pa.schema([("id", pa.int64()), ("t", NS)])
    second = engine.append(file_of([5_001, 6_000]).cast(plain), **INT96)
    engine.append(file_of([7], pa.timestamp("us")))
    engine.append(file_of([8], pa.timestamp("ms")))
    engine.commit(
        deletes=[engine.delete_positions((first, 1), (second, 1))], operation=Operation.DELETE
    )
    assert sorted(times(engine)) == [up(n) for n in (1_000, 3_000, 6_000, 7_000, 8_000_000)]
    with engine.table.update_schema() as change:
        change.rename_column("t", "renamed")
    assert sorted(row["renamed"] for row in engine.read()) == [
        up(n) for n in (1_000, 3_000, 6_000, 7_000, 8_000_000)
    ]


@pytest.mark.parametrize("options", [INT96, {}], ids=["int96", "nanos"])
def test_nanoseconds_in_nested_fields(options: dict[str, bool], lake: Catalog) -> None:
    schema = Schema(
        NestedField(1, "s", StructType(NestedField(4, "t", TimestamptzType()))),
        NestedField(2, "l", ListType(5, TimestampType())),
        NestedField(
            3, "m", MapType(6, StringType(), 7, ListType(8, StructType(NestedField(9, "t", TimestampType()))))
        ),
    )  # fmt: skip
    engine = OtherEngine.create(lake, schema, mapped=True)
    inner = pa.struct([("t", NS)])
    file = pa.schema(
        [("s", inner), ("l", pa.list_(NS)), ("m", pa.map_(pa.string(), pa.list_(inner)))]
    )
    rows = [
        {"s": {"t": 1}, "l": [1001, None, -1], "m": [("k", [{"t": 999}, None, {"t": None}])]},
        {"s": None, "l": None, "m": None},
        {"s": {"t": None}, "l": [], "m": [("k", []), ("n", None)]},
    ]
    engine.append(pa.Table.from_pylist(rows, schema=file), **options)
    one = dt.datetime(1970, 1, 1, 0, 0, 0, 1)
    assert engine.read() == sorted(
        [
            {
                "s": {"t": one.replace(tzinfo=dt.UTC)},
                "l": [one.replace(microsecond=2), None, EPOCH],
                "m": [("k", [{"t": one}, None, {"t": None}])],
            },
            {"s": None, "l": None, "m": None},
            {"s": {"t": None}, "l": [], "m": [("k", []), ("n", None)]},
        ],
        key=str,
    )
