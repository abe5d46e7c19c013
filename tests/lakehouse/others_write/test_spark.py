"""Tables that a real Spark wrote, held to what Spark itself and pyiceberg read of them."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.errors import DataError
from feature_specs.leaf import Leaf
from lakehouse.scan import pin
from tests.feature_specs.worlds import TZ
from tests.lakehouse.others_write.lakes import OtherEngine, connection, lake_in
from tests.lakehouse.others_write.spark.spark_lake import Step, alike, unpack
from tests.lakehouse.others_write.test_builds import SUMS, Shared

pytestmark = pytest.mark.slow

#: What is not read, by table.
REFUSED = {
    "raw.third": "a delete file is of format PUFFIN",
    "raw.orc": "a data file is of format ORC",
    "raw.avro": "a data file is of format AVRO",
}

#: pyiceberg fails on its lists of lists, and reads its nested nulls as empty ones.
NOT_PYICEBERG = {"raw.kinds"}


#: What Spark did where a build cannot step.
NO_STEP = ("created", "delete", "update", "merge", "back")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    return unpack(tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="module")
def spark_lake(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return lake_in(tmp_path_factory.mktemp("catalog"))


def test_every_table_at_every_step(steps: list[Step], spark_lake: Catalog) -> None:
    refused = set()
    for step in steps:
        table = step.table_in(spark_lake)
        if step.table == "raw.ancient":
            continue
        try:
            ours = connection().sql(pin(table).sql).to_arrow_table()
        except DataError as error:
            assert re.search(REFUSED[step.table], str(error))
            refused.add(step.table)
            continue
        assert alike(ours, step), (step.table, step.name, ours.to_pylist(), step.rows)
        if step.table not in NOT_PYICEBERG:
            OtherEngine(table).check()
    assert refused == set(REFUSED)


def test_all_kinds_of_columns(steps: list[Step], spark_lake: Catalog) -> None:
    last = [s for s in steps if s.table == "raw.kinds"][-1]
    rows = OtherEngine(last.table_in(spark_lake)).read()
    assert [row["id"] for row in sorted(rows, key=lambda row: row["id"])] == [1, 2, 3]
    first = next(row for row in rows if row["id"] == 1)
    assert math.isnan(first.pop("f"))
    assert first == {
        "t": "ä'\"\\",
        "id": 1,
        "b": None,
        "l": 2**63 - 1,
        "r": 1.5,
        "d9": Decimal("1.25"),
        "d18": Decimal("-2.125"),
        "d38": Decimal("1234567890123456789012345678.0123456789"),
        "day": date(1, 1, 1),
        "at": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        "local": datetime(1582, 10, 4, 1, 2, 3, 1),
        "raw": b"\x00\xff",
        "a b": "x",
        "Ärger.x": 1,
        "s": {"a": 1, "inner": {"y": date(2024, 2, 29), "x": "y"}},
        "m": [("k", {"n": 1, "more": None}), ("z", None)],
        "e": [[1, None], None, []],
    }
    assert {k: v for k, v in next(r for r in rows if r["id"] == 2).items() if v is not None} == {
        "id": 2,
        "r": -math.inf,
        "f": 0.0,
    }


def test_days_of_the_old_calendar(steps: list[Step], spark_lake: Catalog) -> None:
    step = [s for s in steps if s.table == "raw.ancient"][-1]
    here = connection()
    here.execute(f"create view ours as {pin(step.table_in(spark_lake)).sql}")
    assert here.sql("select id from ours order by id").fetchall() == [(0,), (1,), (2,)]
    for column in ("day", "ts"):
        with pytest.raises(duckdb.Error, match=f"column '{column}' of .*, of the calendar before"):
            here.sql(f"select {column} from ours").fetchall()


def test_builds_steps_and_training_rows(steps: list[Step], tmp_path: Path) -> None:
    """Each of Spark's commits to ``events`` between two builds, at a clock that moves on."""
    leaf = Leaf(
        "events",
        {"k": "VARCHAR", "ts": TZ, "x": "INTEGER", "d": "DECIMAL(12,2)", "f": "DOUBLE"},
        event_time="ts",
    )
    shared = Shared(tmp_path, SUMS, leaf)
    at = datetime(2024, 2, 27, 6, tzinfo=UTC)
    for step in (s for s in steps if s.table == "raw.events"):
        step.table_in(shared.build.lake)
        assert step.rows is not None
        shared.now_holds([tuple(_zoned(v) for v in row) for row in step.rows])
        how = shared.check(at).partition(":")[0]
        assert how == ("full" if step.name.startswith(NO_STEP) else "step"), step.name
        at += timedelta(minutes=50)


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
