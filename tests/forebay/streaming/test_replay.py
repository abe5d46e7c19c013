"""The demo: flights through a broker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from forebay.dbt_project.project import Project
from forebay.example_flights.ingest_flights import ingest_flights
from forebay.scaffold.example import copy_example
from forebay.streaming.replay import parse_speed
from lakehouse.lake import load_table, open_lake
from tests.servers.kafka import KafkaServer


@pytest.mark.slow
def test_a_day_of_flights(tmp_path: Path, kafka: KafkaServer) -> None:
    folder = tmp_path / "flights"
    copy_example(folder, {})
    profile = folder / "profiles/profiles.yml"
    online = "            online: lmdb://online.lmdb\n"
    broker = f'            kafka: {{bootstrap.servers: "{kafka.address}"}}\n'
    profile.write_text(profile.read_text().replace(online, online + broker))
    project = Project(folder)
    ingest_flights(open_lake(project.lake))
    for words in (
        ("compile",),
        ("replay", "flights", "--speed", "7200x", "--from", "2013-12-02T06:00:00Z", "--days", "1"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "forebay", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ},
        )
        assert done.returncode == 0, done.stderr
    assert "carrier_arrivals      DL" in done.stdout
    assert "flights sent" in done.stdout
    rows = load_table(open_lake(project.lake), "nyc.flights").scan(
        row_filter="scheduled_at >= '2013-12-02T06:00:00+00:00'", selected_fields=("flight_id",)
    )
    ids = rows.to_arrow().column("flight_id").to_pylist()
    assert len(ids) == len(set(ids)) > 900
    assert f"{len(ids):,} flights of 1 days" in done.stdout  # all of them, each once


def test_speed() -> None:
    assert parse_speed("3600x") == 3600
    with pytest.raises(ForebayError, match="is not a speed"):
        parse_speed("fast")
