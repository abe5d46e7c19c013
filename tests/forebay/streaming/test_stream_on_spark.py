"""`forebay stream --engine spark`: from a topic to tables and store, in turns with the embedded stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feature_specs.catalog import load_catalog
from lakehouse.lake import load_table, open_lake
from lakehouse.stream.fence import read_fence
from serving.state import load_state
from serving.stores import StoredView, open_store
from tests.forebay.engines.conftest import QUICK
from tests.forebay.small import edit, lake_of
from tests.forebay.streaming.streamed_shop import make_streamed_shop, payment
from tests.lakehouse.read_arrow import read_arrow
from tests.servers.kafka import KafkaServer
from tests.servers.process import find_jdk
from tests.servers.spark import iceberg_jars

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _forebay(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forebay", *words]
    env = {**os.environ, "JAVA_HOME": str(find_jdk(17))}
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=env)


@pytest.fixture
def shop(tmp_path: Path, kafka: KafkaServer) -> tuple[Path, str]:
    """The small project, built, and the topic of its payments."""
    spark = json.dumps({"jars": [str(jar) for jar in iceberg_jars()], "conf": QUICK})
    topic = make_streamed_shop(tmp_path, kafka, f"            spark: {spark}\n")
    return tmp_path, topic


def test_from_topic_to_store_in_turns(shop: tuple[Path, str], kafka: KafkaServer) -> None:
    root, topic = shop
    built = _forebay(root, "build")
    assert built.returncode == 0, built.stdout
    for amount, engine in ((7, ["--engine", "spark"]), (5, []), (30, ["--engine", "spark"])):
        kafka.produce(topic, [payment("c", amount), payment("d", 1), b"poison"])
        done = _forebay(root, "stream", "--until-caught-up", "--json", *engine)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)["raw.payments"]
        assert (told["rows"], told["bad"], told["overtaken"]) == (2, 1, 0)
    lake = open_lake(lake_of(root))
    fence = read_fence(load_table(lake, "raw.payments"))
    assert fence is not None and fence.places[0].offset == 9
    view = load_catalog(root / "target/forebay/catalog.json").view("spending")
    rows = {r["customer"]: r for r in read_arrow(load_table(lake, view.table)).to_pylist()}
    assert (rows["c"]["payments_60d"], rows["c"]["spent_60d"], rows["c"]["most_60d"]) == (3, 42, 30)
    assert (rows["d"]["payments_60d"], rows["d"]["spent_60d"]) == (3, 3)
    store = open_store(load_catalog(root / "target/forebay/catalog.json").online, readonly=True)
    online = load_state(store.get_state(StoredView.of(view)))
    store.close()
    assert online is not None and online.rows == 4
    verified = _forebay(root, "verify", "--json")
    for report in json.loads(verified.stdout):
        assert (report["different"], report["missing"], report["extra"]) == (0, 0, 0), report
    assert not list(lake.list_tables("forebay_scratch"))


def test_what_spark_cannot_do_is_refused_by_name(shop: tuple[Path, str]) -> None:
    root, topic = shop
    edit(
        root,
        "models/sources.yml",
        f"{{topic: {topic}}}",
        f"{{topic: {topic}, dedupe_by: customer}}",
    )
    assert _forebay(root, "compile").returncode == 0
    refused = _forebay(root, "stream", "--engine", "spark")
    assert refused.returncode == 2
    assert "models/sources.yml:6: meta.stream.dedupe_by of source raw.payments" in refused.stderr
    edit(root, "models/sources.yml", ", dedupe_by: customer", "")
    edit(root, "profiles/profiles.yml", "kafka: {", "kafka: {sasl.mechanism: GSSAPI, ")
    assert _forebay(root, "compile").returncode == 0
    refused = _forebay(root, "stream", "--engine", "spark")
    assert (
        "'sasl.mechanism' has no counterpart for Spark's Kafka client as 'GSSAPI'" in refused.stderr
    )
