"""Plain Parquet files of old versions of Spark and of Hive, which count early days otherwise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import (
    DateType,
    ListType,
    LongType,
    NestedField,
    StructType,
    TimestampType,
    TimestamptzType,
)

from lakehouse.scan import pin
from tests.lakehouse.others_write.lakes import OtherEngine, connection

pytestmark = pytest.mark.slow

SPARK = "org.apache.spark."
SPARK_2 = {f"{SPARK}version": "2.4.8", f"{SPARK}sql.parquet.row.metadata": "{}"}
SPARK_1 = {f"{SPARK}sql.parquet.row.metadata": "{}"}
SPARK_3_0 = {f"{SPARK}version": "3.0.3", f"{SPARK}sql.parquet.row.metadata": "{}"}
TOLD_TO = {f"{SPARK}version": "3.5.0", f"{SPARK}legacyDateTime": "", f"{SPARK}legacyINT96": ""}
HIVE = {"writer.date.proleptic": "false"}
NEW = {f"{SPARK}version": "4.1.0", f"{SPARK}sql.parquet.row.metadata": "{}"}

SCHEMA = Schema(
    NestedField(1, "day", DateType()),
    NestedField(2, "moment", TimestamptzType()),
    NestedField(3, "local", TimestampType()),
    NestedField(4, "l", ListType(5, StructType(NestedField(6, "day", DateType())))),
    NestedField(7, "id", LongType()),
)
KINDS = pa.schema(
    [
        ("day", pa.date32()),
        ("moment", pa.timestamp("us", "UTC")),
        ("local", pa.timestamp("us")),
        ("l", pa.list_(pa.struct([("day", pa.date32())]))),
        ("id", pa.int64()),
    ]
)
LATER = {
    "day": dt.date(1582, 10, 15),
    "moment": dt.datetime(1900, 1, 1, tzinfo=dt.UTC),
    "local": dt.datetime(1900, 1, 1),
    "l": [{"day": dt.date(1582, 10, 15)}, None],
    "id": 1,
}
EARLY = {
    "day": dt.date(1582, 10, 14),
    "moment": dt.datetime(1899, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
    "local": dt.datetime(1, 1, 1),
    "l": [{"day": dt.date(1, 1, 1)}],
}


def engine_with(
    lake: Catalog, said: Mapping[str, str], *rows: Mapping[str, Any], int96: bool = False
) -> OtherEngine:
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    file = pa.Table.from_pylist([dict(row) for row in rows], schema=KINDS)
    engine.append(file.replace_schema_metadata(said), use_deprecated_int96_timestamps=int96)
    return engine


@pytest.mark.parametrize("said", [SPARK_1, SPARK_2, TOLD_TO, HIVE], ids=str)
@pytest.mark.parametrize("int96", [False, True])
def test_values_that_both_calendars_have(said: dict[str, str], int96: bool, lake: Catalog) -> None:
    empty = dict.fromkeys(LATER)
    assert engine_with(lake, said, LATER, empty, int96=int96).read() == sorted(
        [LATER, empty], key=str
    )


@pytest.mark.parametrize(
    ("said", "early", "int96"),
    [
        *((said, name, False) for said in (SPARK_1, SPARK_2, TOLD_TO, HIVE) for name in EARLY),
        *((said, name, True) for said in (SPARK_3_0, TOLD_TO) for name in ("moment", "local")),
    ],
)
def test_early_values_are_refused_once_they_are_read(
    said: dict[str, str], early: str, int96: bool, lake: Catalog
) -> None:
    engine = engine_with(lake, said, LATER, {**LATER, early: EARLY[early]}, int96=int96)
    engine.append(pa.Table.from_pylist([LATER], schema=KINDS))
    here = connection()
    here.execute(f"create view ours as {pin(engine.table).sql}")
    path = pin(engine.table).files[-1].data_file.file_path.removeprefix("file://")
    where = "l.element.day" if early == "l" else early
    with pytest.raises(duckdb.Error, match=f"column '{where}' of {path} holds .*Hint: read the"):
        here.sql(f"select {early} from ours").fetchall()
    assert here.sql("select id from ours").fetchall() == [(1,), (1,), (1,)]
    others = ", ".join(n for n in LATER if n != early)
    assert len(here.sql(f"select {others} from ours").fetchall()) == 3


@pytest.mark.parametrize("int96", [False, True])
def test_early_values_of_other_writers(int96: bool, lake: Catalog) -> None:
    early = {**LATER, **EARLY}
    for said in (NEW, {}):
        assert engine_with(lake, said, early, int96=int96).read() == [early]
    # Spark 3.0 wrote dates by today's calendar already, and INT96 not yet.
    engine = engine_with(lake, SPARK_3_0, {**LATER, "day": EARLY["day"]}, int96=int96)
    assert engine.read()[0]["day"] == EARLY["day"]
