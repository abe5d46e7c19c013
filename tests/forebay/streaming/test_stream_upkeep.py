"""A stream looks after its tables by itself, and every event still counts once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forebay.dbt_project.project import find_project
from forebay.streaming.stream_upkeep import StreamUpkeep
from lakehouse.lake import load_table, open_lake
from lakehouse.scan import pin
from tests.forebay.small import edit, lake_of, make_project, run_here
from tests.forebay.streaming.streamed_shop import make_streamed_shop, payment
from tests.lakehouse.read_arrow import read_arrow
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.slow


def test_small_files_are_made_large_beside_the_batches(tmp_path: Path, kafka: KafkaServer) -> None:
    topic = make_streamed_shop(tmp_path, kafka)
    run = [sys.executable, "-m", "forebay"]
    assert subprocess.run([*run, "build"], cwd=tmp_path, check=False).returncode == 0
    lake = open_lake(lake_of(tmp_path))
    before = read_arrow(load_table(lake, "raw.payments")).num_rows
    options = ["--every", "0.05", "--checkpoint", "2", "--upkeep", "0.02"]
    with (tmp_path / "stream.log").open("w") as log:
        process = subprocess.Popen(
            [*run, "stream", *options], cwd=tmp_path, stdout=log, stderr=log, env={**os.environ}
        )
    sent, deadline, compacted = 0, time.monotonic() + 240, False
    try:
        while not (compacted and sent >= 60):
            assert time.monotonic() < deadline, (tmp_path / "stream.log").read_text()
            assert process.poll() is None, (tmp_path / "stream.log").read_text()
            kafka.produce(topic, [payment(f"c{1000 + sent}", 1000 + sent)])
            sent += 1
            time.sleep(0.1)
            table = load_table(lake, "raw.payments")
            said = [s.summary.operation.value for s in table.snapshots() if s.summary is not None]
            compacted = compacted or "replace" in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, (tmp_path / "stream.log").read_text()
    finally:
        process.kill()
        process.wait()
    done = subprocess.run(
        [*run, "stream", "--until-caught-up"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    table = load_table(lake, "raw.payments")
    rows = read_arrow(table).to_pylist()
    assert len(rows) == before + sent
    assert sorted(r["amount"] for r in rows if r["amount"] >= 1000) == [
        1000 + n for n in range(sent)
    ]
    appended = sum(s.summary.operation.value == "append" for s in table.snapshots() if s.summary)
    assert len(pin(table).files) < appended
    verified = subprocess.run(
        [*run, "verify", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    for report in json.loads(verified.stdout):
        assert (report["different"], report["missing"], report["extra"]) == (0, 0, 0), report


@pytest.mark.parametrize(
    ("stream", "builds", "left"),
    [
        # Payments of the 1st, 2nd, 3rd and 8th of January, kept for 60 days.
        ("2024-01-10", "2024-03-05", [1, 2, 3, 8]),
        ("2024-03-05", "2024-01-10", [1, 2, 3, 8]),
        ("2024-03-03", "2024-03-20", [3, 8]),
    ],
)
def test_rows_go_once_they_are_old_by_the_clock_of_the_stream_and_of_builds(
    stream: str, builds: str, left: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path)
    edit(tmp_path, "dbt_project.yml", "2024-01-10 ", f"{builds} ")
    edit(
        tmp_path,
        "models/sources.yml",
        "{event_time: paid_at}",
        "{event_time: paid_at, meta: {retention: 60 days}}",
    )
    monkeypatch.chdir(tmp_path)
    run_here("compile")
    clock = datetime.fromisoformat(stream).replace(tzinfo=UTC)
    told: list[str] = []
    upkeep = StreamUpkeep(
        find_project(), ["raw.payments"], 1e-9, lambda: clock, told.append, told.append
    )
    try:
        while not upkeep.runs:
            upkeep.go_on(may_begin=not upkeep.running)
            time.sleep(0.05)
    finally:
        upkeep.close()
    rows = read_arrow(load_table(open_lake(lake_of(tmp_path)), "raw.payments"))
    assert sorted({at.day for at in rows["paid_at"].to_pylist()}) == left, told
