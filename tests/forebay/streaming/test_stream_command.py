"""`forebay stream` on a small project of its own, and what is wrong with ``meta.stream``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakehouse.lake import find_table, open_lake
from tests.forebay.small import PROFILES, lake_of, make_project
from tests.lineage.events.schemas import read_events
from tests.servers.kafka import KafkaServer
from tests.servers.process import free_port, listens

pytestmark = pytest.mark.slow

_SOURCES = """\
sources:
  - name: raw
    schema: raw
    tables:
      - name: payments
        config: {{event_time: paid_at}}
      - name: clicks
        config:
          event_time: clicked_at
          meta:
            stream: {stream}
        columns:
          - {{name: who, data_type: varchar}}
          - {{name: clicked_at, data_type: timestamptz}}
"""


class Shop:
    """The small project with a topic of its own."""

    def __init__(self, root: Path, kafka: KafkaServer, stream: Mapping[str, Any] | None = None):
        self.root, self.topic = root, f"clicks-{uuid.uuid4().hex[:8]}"
        fields = {"topic": self.topic, **(stream or {})}
        said = "{" + ", ".join(f'{k}: "{v}"' for k, v in fields.items()) + "}"
        broker = f'            kafka: {{bootstrap.servers: "{kafka.address}"}}\n'
        make_project(
            root,
            {
                "models/sources.yml": _SOURCES.format(stream=said),
                "profiles/profiles.yml": PROFILES + broker,
            },
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "forebay", *words]
        return subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=False, env={**os.environ}
        )


def test_a_topic_becomes_rows(tmp_path: Path, kafka: KafkaServer) -> None:
    shop = Shop(tmp_path, kafka)
    kafka.create(shop.topic)
    assert shop.run("compile").returncode == 0
    assert find_table(open_lake(lake_of(tmp_path)), "raw.clicks") is not None
    at = "2024-01-05T00:00:00Z"
    values = [json.dumps({"who": n, "clicked_at": at}).encode() for n in "abc"]
    kafka.produce(shop.topic, [*values, b"poison"])
    looked = shop.run("stream", "--dry-run", "--json")
    assert looked.returncode == 0, looked.stderr
    told = json.loads(looked.stdout)["raw.clicks"]
    assert (told["messages"], told["rows"], told["bad"]) == (4, 3, 1)
    done = shop.run("stream", "raw.clicks", "--until-caught-up", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["raw.clicks"]["rows"] == 3
    again = shop.run("stream", "--until-caught-up", "--every", "0.2")
    assert "raw.clicks: 0 rows in 0 commits" in again.stdout
    _serves_metrics_and_ends_when_asked(shop, kafka)
    _tells_each_process_as_one_run(shop, kafka)


def _tells_each_process_as_one_run(shop: Shop, kafka: KafkaServer) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for event in read_events(shop.root):
        assert event["job"]["name"] == "shop.stream"
        assert event["job"]["facets"]["jobType"]["processingType"] == "STREAMING"
        runs.setdefault(event["run"]["runId"], []).append(event)
    assert len(runs) == 3  # a dry run is none
    for events in runs.values():
        assert [e["eventType"] for e in events if e["eventType"] != "RUNNING"] == [
            "START",
            "COMPLETE",
        ]
        (topic,), (table,) = events[-1]["inputs"], events[-1]["outputs"]
        assert (topic["namespace"], topic["name"]) == (f"kafka://{kafka.address}", shop.topic)
        assert table["name"] == f"{shop.root}/lake/warehouse/raw/clicks"


def _serves_metrics_and_ends_when_asked(shop: Shop, kafka: KafkaServer) -> None:
    port = free_port()
    command = [sys.executable, "-m", "forebay", "stream", "--metrics-port", str(port)]
    process = subprocess.Popen(command, cwd=shop.root, stdout=subprocess.PIPE, text=True)
    try:
        kafka.produce(shop.topic, [b'{"who": "d", "clicked_at": "2024-01-05T00:00:00Z"}'])
        deadline, text = time.monotonic() + 60, ""
        while 'forebay_stream_rows_total{source="raw.clicks"} 1.0' not in text:
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
            if listens(port):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    text = answer.read().decode()
        assert f'forebay_stream_lag{{partition="0",topic="{shop.topic}"}} 0.0' in text
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "raw.clicks: 1 rows in 1 commits" in out


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ({"topic": ""}, "models/sources.yml:11: meta.stream of source raw.clicks names no topic"),
        (
            {"format": "xml"},
            "models/sources.yml:11: meta.stream.format is 'xml'. Hint: write json or avro",
        ),
        (
            {"format": "avro", "schema": "none.avsc"},
            "models/sources.yml:11: meta.stream.schema names 'none.avsc', which cannot be read: No",
        ),
        ({"schema": "x.avsc"}, "meta.stream.schema goes with `format: avro`, and format is json"),
        (
            {"on_bad_row": "skip"},
            "meta.stream.on_bad_row is 'skip'. Hint: write dead_letter or stop",
        ),
        (
            {"topci": "x"},
            "meta.stream of source raw.clicks has no field 'topci'. Hint: did you mean",
        ),
    ],
)
def test_a_mistake_names_file_and_field(
    tmp_path: Path, kafka: KafkaServer, stream: dict[str, Any], said: str
) -> None:
    done = Shop(tmp_path, kafka, stream).run("compile")
    assert done.returncode == 2
    assert said in done.stderr


def test_what_is_missing_is_named(tmp_path: Path, kafka: KafkaServer) -> None:
    shop = Shop(tmp_path, kafka)
    assert "Hint: run `forebay compile`" in shop.run("stream").stderr
    assert shop.run("compile").returncode == 0
    missing = shop.run("stream", "--once")
    assert missing.returncode == 2
    assert f"has no topic '{shop.topic}'" in missing.stderr
    assert "did you mean 'raw.clicks'" in shop.run("stream", "raw.click").stderr
    (tmp_path / "profiles/profiles.yml").write_text(PROFILES)
    assert "it says nothing of a broker" in shop.run("stream").stderr
