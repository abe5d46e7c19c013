"""Columns that only the partition knows, paths that look like partitions, and several specs."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from lakehouse.feature_tables.slices import Span, rows_in
from lakehouse.scan import pin
from tests.lakehouse.others_write.lakes import OtherEngine, connection, with_id

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "v", StringType()))
BY_V = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "v"))
ID = pa.schema([with_id("id", pa.int64(), 1)])
BOTH = pa.schema([with_id("id", pa.int64(), 1), with_id("v", pa.string(), 2)])


def rows(schema: pa.Schema, *given: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(given), schema=schema)


@pytest.mark.parametrize("mapped", [True, False])
def test_a_migrated_hive_table(mapped: bool, lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA, BY_V, mapped=mapped)
    schema = pa.schema([("id", pa.int64())]) if mapped else ID
    for number, value in enumerate(("a", "it's", None)):
        file = engine.write(rows(schema, {"id": number}), at=f"v={value}/0.pq", partition=[value])
        engine.commit(file)
    assert engine.check() == [
        {"id": 0, "v": "a"},
        {"id": 1, "v": "it's"},
        {"id": 2, "v": None},
    ]


@pytest.mark.parametrize(
    ("kind", "held", "value"),
    [
        (IntegerType(), 5, 5),
        (LongType(), -5, -5),
        (BooleanType(), True, True),
        (DateType(), 15000, dt.date(2011, 1, 26)),
        (TimestamptzType(), 1_000_001, dt.datetime(1970, 1, 1, 0, 0, 1, 1, dt.UTC)),
        (DecimalType(5, 2), decimal.Decimal("1.25"), decimal.Decimal("1.25")),
    ],
)
def test_values_of_a_partition(
    kind: IcebergType, held: object, value: object, lake: Catalog
) -> None:
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "v", kind))
    engine = OtherEngine.create(lake, schema, BY_V)
    engine.commit(engine.write(rows(ID, {"id": 1}, {"id": 2}), partition=[held]))
    assert engine.check() == [{"id": 1, "v": value}, {"id": 2, "v": value}]


def test_a_file_with_ids_is_believed_before_its_path_and_partition(lake: Catalog) -> None:
    """DuckDB alone would take the value from a path that looks like Hive's."""
    engine = OtherEngine.create(lake, SCHEMA, BY_V)
    file = engine.write(rows(BOTH, {"id": 1, "v": "a/b"}), at="v=a%2Fb/0.pq", partition=["a/b"])
    engine.commit(file)
    engine.commit(
        engine.write(rows(BOTH, {"id": 2, "v": "c"}), at="v=other/0.pq", partition=["c"]),
        engine.write(rows(BOTH, {"id": 3, "v": "d"}), at="id=9/0.pq", partition=["d"]),
    )
    assert engine.check() == [{"id": 1, "v": "a/b"}, {"id": 2, "v": "c"}, {"id": 3, "v": "d"}]


@pytest.mark.parametrize("name", ["a*b.pq", "[1]/x.pq", "a b%20c.pq", "it's.pq", "ä+.pq"])
def test_paths_with_characters_of_their_own(name: str, lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    file = engine.write(rows(BOTH, {"id": 1, "v": "a"}, {"id": 2, "v": "b"}), at=name)
    engine.commit(file)
    assert engine.read() == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    engine.commit(deletes=[engine.delete_positions((file, 0))])
    assert engine.read() == [{"id": 2, "v": "b"}]


def test_several_specs_and_a_column_that_went_with_its_partition(lake: Catalog) -> None:
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "v", StringType()),
        NestedField(3, "ts", TimestamptzType()),
    )
    engine = OtherEngine.create(lake, schema, BY_V)
    with_time = BOTH.append(with_id("ts", pa.timestamp("us", "UTC"), 3))
    at = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    day, engine_rows = (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).days, []
    for number in range(4):
        hour = at + dt.timedelta(hours=number)
        engine_rows.append({"id": number, "v": "a", "ts": hour})
    engine.commit(engine.write(rows(ID, {"id": 10}), partition=["a"]))
    engine.commit(engine.write(rows(with_time, engine_rows[0]), partition=["a"]))
    with engine.table.update_spec() as change:
        change.remove_field("v")
        change.add_field("ts", DayTransform(), "day")
    engine.commit(engine.write(rows(with_time, engine_rows[1]), partition=[day]))
    with engine.table.update_spec() as change:
        change.add_field("id", BucketTransform(4), "bucket")
    engine.commit(engine.write(rows(with_time, engine_rows[2]), partition=[day, 1]))
    assert engine.check() == sorted([*engine_rows[:3], {"id": 10, "v": "a", "ts": None}], key=str)
    span = Span(
        engine.table.schema().find_field("ts"), *(us(at) + n * 3_600_000_000 for n in (0, 1))
    )
    held = rows_in(engine.table, pin(engine.table).snapshot, [span])
    assert connection().sql(f"select id, v from ({held})").fetchall() == [(1, "a")]
    with engine.table.update_schema() as change:
        change.delete_column("v")
    assert [row["id"] for row in engine.check()] == [0, 1, 10, 2]
    held = rows_in(engine.table, pin(engine.table).snapshot, [span])
    assert connection().sql(f"select id from ({held})").fetchall() == [(1,)]


def us(at: dt.datetime) -> int:
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
