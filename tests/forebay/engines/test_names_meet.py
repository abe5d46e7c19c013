"""Events of openlineage-dbt, of Spark's listener and ours about the same tables make one graph."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.serde import Serde
from openlineage.common.provider.dbt.local import DbtLocalArtifactProcessor

from lakehouse.lake import open_lake
from tests.forebay.small import lake_of, make_project, run_here, write_files
from tests.lineage.events.graph import Graph
from tests.lineage.events.schemas import read_events
from tests.servers.process import find_jdk
from tests.servers.spark import iceberg_jars, openlineage_jars

pytestmark = pytest.mark.slow

DUCKDB = "duckdb://target/shop.duckdb"


def commands(root: Path, monkeypatch: pytest.MonkeyPatch, *each: list[str]) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("FOREBAY_OPENLINEAGE_WAIT", "60")
    for words in each:
        run_here(*words)


def dbt_events(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What openlineage-dbt makes of the artifacts of a build."""
    monkeypatch.setenv("DBT_PROFILES_DIR", str(root / "profiles"))
    processor = DbtLocalArtifactProcessor(
        project_dir=str(root), producer="https://example.com/dbt", job_namespace="dbt"
    )
    return [Serde.to_dict(event) for event in processor.parse().events()]


def table(root: Path, name: str) -> tuple[str, str]:
    return "file", f"{root}/lake/warehouse/{name}"


def test_dbts_events_meet_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_project(tmp_path / "shop")
    commands(root, monkeypatch, ["build"], ["sync"])
    ours, theirs = read_events(root), dbt_events(root, monkeypatch)
    names = [
        {(e["job"]["namespace"], e["job"]["name"]) for e in events} for events in (ours, theirs)
    ]
    assert names[1] <= names[0]  # the same jobs
    alone = Graph(theirs)
    assert table(root, "main/spending") not in alone.downstream((DUCKDB, "shop.raw.payments"))
    both = Graph([*ours, *theirs])
    made = both.downstream((DUCKDB, "shop.raw.payments"))
    assert made == both.downstream(table(root, "raw/payments"))
    assert both.node(table(root, "main/spending")) in made
    assert both.node((DUCKDB, "shop.main.spending")) in made
    assert ("file", f"{root}/online.lmdb/spending") in made


SPARK = """
import json, sys
from pyspark.sql import SparkSession

given = json.loads(sys.argv[1])
builder = SparkSession.builder.master("local[1]").appName("nightly")
for key, value in given["conf"].items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
for statement in given["statements"]:
    spark.sql(statement)
spark.stop()
"""
STATEMENTS = [
    "create namespace lake.raw",
    "create table lake.raw.charges (customer string, paid_at timestamp, amount bigint) using iceberg",
    "insert into lake.raw.charges values ('a', timestamp '2024-01-08 00:00:00Z', 5), "
    "('b', timestamp '2024-01-09 00:00:00Z', 7)",
    "create table lake.raw.payments using iceberg as "
    "select customer, paid_at, amount from lake.raw.charges where amount > 0",
]


def spark_events(root: Path) -> list[dict[str, Any]]:
    """A Spark job that makes raw.payments of raw.charges in the lake's folder, with its listener."""
    log = root / "spark.ndjson"
    conf = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.log.level": "OFF",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:TieredStopAtLevel=1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.jars": ",".join(map(str, [*iceberg_jars(), *openlineage_jars()])),
        "spark.extraListeners": "io.openlineage.spark.agent.OpenLineageSparkListener",
        "spark.openlineage.transport.type": "file",
        "spark.openlineage.transport.location": str(log),
        "spark.openlineage.namespace": "spark",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.type": "hadoop",
        "spark.sql.catalog.lake.warehouse": (root / "lake" / "warehouse").as_uri(),
    }
    given = json.dumps({"conf": conf, "statements": STATEMENTS})
    done = subprocess.run(
        [sys.executable, "-c", SPARK, given],
        env={**os.environ, "JAVA_HOME": str(find_jdk(17))},
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_sparks_events_meet_ours_and_dbts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "shop"
    (root / "lake").mkdir(parents=True)
    spark = spark_events(root)
    (metadata,) = (root / "lake/warehouse/raw/payments/metadata").glob("v1.metadata.json")
    lake = open_lake(lake_of(root))
    lake.create_namespace("raw")
    lake.register_table("raw.payments", metadata.as_uri())
    write_files(root)
    (root / "spine.csv").write_text("customer,event_timestamp\na,2024-01-09T12:00:00Z\n")
    train = ["train", "fraud", "--spine", "spine.csv", "--out", "t.parquet"]
    commands(root, monkeypatch, ["build"], ["sync"], train)
    ours, dbt = read_events(root), dbt_events(root, monkeypatch)

    made = Graph([*spark, *ours, *dbt]).downstream(table(root, "raw/charges"))
    jobs = {node[1:] for node in made if isinstance(node, tuple) and node[0] == "job"}
    assert ("dbt", "shop.main.shop.spending.build.run") in jobs
    assert {("forebay", "shop.sync.spending"), ("forebay", "shop.train.fraud")} <= jobs
    assert any(namespace == "spark" for namespace, _ in jobs)
    assert {("file", f"{root}/online.lmdb/spending"), ("file", f"{root}/t.parquet")} <= made

    # Beside commands, which read and write nothing by themselves, all hangs together.
    (part,) = Graph([*spark, *ours, *dbt]).parts()
    assert {node[1] for node in part if isinstance(node, tuple) and node[0] == "job"} == {
        "spark",
        "dbt",
        "forebay",
    }
