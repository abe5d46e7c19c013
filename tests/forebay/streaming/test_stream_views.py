"""Views step in the stream process: online at once, in their tables at checkpoints, right after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feature_specs.catalog import load_catalog
from feature_specs.instants import from_epoch_us
from lakehouse.lake import load_table, open_lake, read_state
from serving.state import load_state
from serving.stores import StoredView, open_store
from tests.forebay.small import lake_of
from tests.forebay.streaming.streamed_shop import make_streamed_shop, payment
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow


def _forebay(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "forebay", *words]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, env={**os.environ}
    )


def test_from_topic_to_store_and_tables_with_a_kill_in_between(
    tmp_path: Path, kafka: KafkaServer
) -> None:
    topic = make_streamed_shop(tmp_path, kafka)
    assert _forebay(tmp_path, "build").returncode == 0
    kafka.produce(topic, [payment("c", 7)])
    command = [sys.executable, "-m", "forebay", "stream", "--every", "0.2", "--checkpoint", "3"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        _wait(tmp_path, 3)
    finally:
        process.kill()
        process.wait()
    kafka.produce(topic, [payment("c", 5), payment("d", 1)])
    done = _forebay(tmp_path, "stream", "--until-caught-up", "--every", "0.2")
    assert done.returncode == 0, done.stderr
    catalog = load_catalog(tmp_path / "target/forebay/catalog.json")
    view = catalog.view("spending")
    state = read_state(load_table(open_lake(lake_of(tmp_path)), view.table))
    store = open_store(catalog.online, readonly=True)
    online = load_state(store.get_state(StoredView.of(view)))
    store.close()
    # At the end the tables are where the store is, and the store says so.
    assert state is not None and online is not None
    assert from_epoch_us(state.at) == from_epoch_us(online.at)
    assert online.snapshot is not None and online.rows == 4
    verified = _forebay(tmp_path, "verify", "--json")
    assert verified.returncode in (0, 1), verified.stderr
    for report in json.loads(verified.stdout):
        assert (report["different"], report["missing"], report["extra"]) == (0, 0, 0), report
    rows = load_table(open_lake(lake_of(tmp_path)), view.table).scan().to_arrow().to_pylist()
    assert {r["customer"]: r["spent_60d"] for r in rows}["c"] == 12


def _wait(root: Path, rows: int) -> None:
    catalog = load_catalog(root / "target/forebay/catalog.json")
    deadline = time.monotonic() + 240
    while True:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        if not (root / "online.lmdb").exists():
            continue
        store = open_store(catalog.online, readonly=True)
        state = load_state(store.get_state(StoredView.of(catalog.view("spending"))))
        store.close()
        if state is not None and state.rows == rows:
            return
