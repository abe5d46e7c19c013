"""`forebay ingest --engine spark`: the table that the embedded ingest makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog as Lake

from feature_specs.errors import DataError
from lakehouse.duckdb_types import column_types
from lakehouse.engines.spark import SparkEngine
from lakehouse.ingest.files import ingest_file, ingest_files
from lakehouse.ingest.fit_table import SchemaChanges
from lakehouse.ingest.ingest_on_spark import ingest_on_spark
from lakehouse.ingest.source import FileOptions
from lakehouse.lake import load_table, table_names
from lakehouse.layout import read_layout, sort_terms
from lakehouse.local_path import local_path
from lakehouse.scan import pin
from tests.forebay.engines.conftest import QUICK, SharedProject
from tests.servers.spark import iceberg_jars

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_KEEPS = FileOptions(keeps_local=lambda: True)


def _rows(first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    at = [datetime(1890 + n % 200, 1, 1, 0, 0, n % 60, n, tzinfo=UTC) for n in numbers]
    none = [n % 5 == 4 for n in numbers]
    return pa.table({
        "Id": pa.array(list(numbers), pa.int64()),
        "tiny": pa.array([n % 100 for n in numbers], pa.int8()),
        "big": pa.array([2**64 - 1 - n for n in numbers], pa.uint64()),
        "u32": pa.array([2**32 - 1 - n for n in numbers], pa.uint32()),
        "x": pa.array([[0.1, float("nan"), -0.0, float("inf")][n % 4] for n in numbers]),
        "r": pa.array([n / 7 for n in numbers], pa.float32()),
        "d": pa.array([Decimal(n) / 100 for n in numbers], pa.decimal128(38, 2)),
        "word": pa.array([None if no else f"ä'{n}" for n, no in zip(numbers, none, strict=True)]),
        "raw": pa.array([bytes([n % 256]) for n in numbers]),
        "flag": pa.array([n % 2 == 0 for n in numbers]),
        "day": pa.array([date(1600 + n, 2, 28) for n in numbers]),
        "at": pa.array(at, pa.timestamp("us", "UTC")),
        "local": pa.array([t.replace(tzinfo=None) for t in at], pa.timestamp("us")),
    })  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of two files, one of them a level down."""
    (tmp_path / "rows" / "more").mkdir(parents=True)
    pq.write_table(_rows(0, 30), tmp_path / "rows" / "a.parquet", row_group_size=10)
    pq.write_table(_rows(30, 12), tmp_path / "rows" / "more" / "b.parquet")
    return tmp_path / "rows"


def _connect(project: SharedProject) -> SparkEngine:
    engine = project.connect()
    assert isinstance(engine, SparkEngine)
    return engine


def _held(lake: Lake, table: str) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    found = load_table(lake, table)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows = connection.sql(pin(found).sql).order('"Id"').fetchall()
    return column_types(found.schema()), [tuple(map(repr, row)) for row in rows]


def test_a_folder_gives_the_table_of_the_embedded_ingest(
    on_spark: SharedProject, files: Path
) -> None:
    lake = on_spark.open_lake()
    for path in sorted(files.rglob("*.parquet")):
        ingest_file(lake, "there.embedded", path, mode="append", options=_KEEPS)
    spark = _connect(on_spark)
    done = ingest_on_spark(spark, lake, "there.spark", str(files), mode="append", options=_KEEPS)
    assert (done.rows, done.before, done.after.rows) == (42, None, 42)
    assert _held(lake, "there.spark") == _held(lake, "there.embedded")
    pattern = f"{files}/*.parquet"
    added = ingest_on_spark(spark, lake, "there.spark", pattern, mode="append", options=_KEEPS)
    assert (added.rows, added.after.rows, added.files[0].known) == (0, 42, True)
    added = ingest_on_spark(
        spark, lake, "there.spark", pattern, mode="append", options=_KEEPS, again=True
    )
    assert (added.rows, added.after.rows) == (30, 72)
    again = ingest_on_spark(spark, lake, "there.spark", str(files), mode="replace", options=_KEEPS)
    assert (again.rows, again.after.rows) == (42, 42)
    assert _held(lake, "there.spark") == _held(lake, "there.embedded")
    wider = _rows(50, 3).append_column("extra", pa.array([1, None, 3]))
    pq.write_table(wider, files / "c.parquet")
    for name in ("embedded", "spark"):
        table, path = f"there.{name}", files / "c.parquet"
        changes = SchemaChanges(evolve=True)
        if name == "spark":
            ingest_on_spark(
                spark, lake, table, str(path), mode="append", options=_KEEPS, changes=changes
            )
        else:
            ingest_file(lake, table, path, mode="append", options=_KEEPS, changes=changes)
    assert _held(lake, "there.spark") == _held(lake, "there.embedded")
    spark.close()


def test_the_command_says_what_it_loaded(on_spark: SharedProject, files: Path) -> None:
    rows = pq.read_table(files / "a.parquet").drop_columns(["local"])
    pq.write_table(rows, files / "plain.parquet")
    words = ("ingest", "there.typed", str(files / "plain.parquet"), "--engine", "spark")
    assert "there.typed: 30 rows in a new table" in on_spark.run(*words)


def test_what_spark_reads_otherwise_is_refused(on_spark: SharedProject, tmp_path: Path) -> None:
    lake, spark = on_spark.open_lake(), _connect(on_spark)
    odd = tmp_path / "odd.parquet"

    def refused(table: pa.Table, *, early: bool = False) -> str:
        pq.write_table(table, odd, use_deprecated_int96_timestamps=early)
        with pytest.raises(DataError) as caught:
            ingest_on_spark(spark, lake, "there.odd", str(odd), mode="append")
        return str(caught.value)

    at = pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "UTC"))
    assert "an INT96" in refused(pa.table({"at": at}), early=True)
    assert "of type STRUCT" in refused(pa.table({"s": pa.array([{"a": 1}])}))
    assert "have no time zone" in refused(pa.table({"l": at.cast(pa.timestamp("us"))}))
    assert "there.odd" not in table_names(lake)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="its columns are not those of"):
        ingest_on_spark(spark, lake, "there.odd", str(tmp_path), mode="append")
    with pytest.raises(DataError, match=r"the format of .none. is not known"):
        ingest_on_spark(spark, lake, "there.odd", str(tmp_path / "none"), mode="append")
    (tmp_path / "rows.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="it is not a Parquet file"):
        ingest_on_spark(spark, lake, "there.odd", str(tmp_path / "rows.csv"), mode="append")
    spark.close()


def test_what_replaced_the_rows_is_what_counts_as_loaded(
    on_spark: SharedProject, tmp_path: Path
) -> None:
    """A file whose rows were replaced is loaded anew, by either engine; what is beside files is not."""
    lake, spark = on_spark.open_lake(), _connect(on_spark)
    one, two = tmp_path / "one.parquet", tmp_path / "two"
    (two / "_temporary").mkdir(parents=True)
    pq.write_table(pa.table({"n": [1, 2]}), one)
    pq.write_table(pa.table({"n": [3]}), two / "b.parquet")
    pq.write_table(pa.table({"n": [99]}), two / "_temporary" / "half.parquet")
    table = "there.replaced"
    ingest_files(lake, table, [one], mode="append")
    ingest_on_spark(spark, lake, table, str(two), mode="replace")
    assert _numbers(lake, table) == [3]
    assert ingest_files(lake, table, [one], mode="append").rows == 2
    assert ingest_files(lake, table, [two / "b.parquet"], mode="append").rows == 0
    assert ingest_on_spark(spark, lake, table, str(one), mode="append").rows == 0
    assert _numbers(lake, table) == [1, 2, 3]
    spark.close()


def test_files_lie_as_the_source_declares(on_spark: SharedProject, tmp_path: Path) -> None:
    lake, spark = on_spark.open_lake(), _connect(on_spark)
    days = [date(2024, 1, 1 + n % 3) for n in range(30)]
    pq.write_table(pa.table({"n": list(range(30)), "day": days}), tmp_path / "a.parquet")
    layout = read_layout(["day"], ["n desc"], "sources.yml")
    ingest_on_spark(spark, lake, "there.laid", str(tmp_path), mode="append", layout=layout)
    table = load_table(lake, "there.laid")
    assert sort_terms(table.metadata) == ['"n" desc nulls last']
    found = {}
    for entry in pin(table).files:
        path = local_path(entry.data_file.file_path)
        found[str(entry.data_file.partition[0])] = pq.read_table(path)["n"].to_pylist()
    first = (date(2024, 1, 1) - date(1970, 1, 1)).days
    assert found == {str(first + d): list(range(27 + d, -1, -3)) for d in range(3)}
    spark.close()


_DIES = """
import os, signal, sys
from pathlib import Path
from lakehouse.engines.spark import SparkEngine, SparkSettings
from lakehouse.ingest.ingest_on_spark import ingest_on_spark
from lakehouse.ingest.fit_table import SchemaChanges
from lakehouse.lake import open_lake
import json
lake, jars, conf, source = json.loads(sys.argv[1])
spark = SparkEngine(SparkSettings(lake, jars=jars, conf=conf))
opened = open_lake(lake)
type(opened).commit_table = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
ingest_on_spark(spark, opened, "there.killed", source, mode="replace",
                changes=SchemaChanges(evolve=True))
"""


def test_killed_before_its_commit_nothing_has_changed(
    on_spark: SharedProject, tmp_path: Path
) -> None:
    lake = on_spark.open_lake()
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    pq.write_table(pa.table({"n": [1, 2]}), one)
    pq.write_table(pa.table({"n": [3], "more": [4]}), two)
    ingest_files(lake, "there.killed", [one], mode="append")
    before = load_table(lake, "there.killed").metadata
    jars = [str(jar) for jar in iceberg_jars()]
    given = json.dumps([on_spark.lake, jars, QUICK, str(two)])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    killed = subprocess.run([sys.executable, "-c", _DIES, given], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert load_table(lake, "there.killed").metadata == before  # neither rows nor columns
    spark, changes = _connect(on_spark), SchemaChanges(evolve=True)
    ingest_on_spark(spark, lake, "there.killed", str(two), mode="replace", changes=changes)
    assert _numbers(lake, "there.killed") == [3]
    assert len(load_table(lake, "there.killed").snapshots()) == len(before.snapshots) + 1
    spark.close()


def _numbers(lake: Lake, table: str) -> list[int]:
    with duckdb.connect() as connection:
        found = connection.sql(f"select n from ({pin(load_table(lake, table)).sql}) order by n")
        return [n for (n,) in found.fetchall()]
