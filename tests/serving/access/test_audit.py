"""The audit log: whole lines, bounded, and nothing that waits for it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from serving.access.audit import Asked, Audit, AuditLimits
from serving.access.rate import UNLIMITED, Usage
from serving.access.rights import Rights
from serving.access.team import Caller, Team

CALLER = Caller(Team('a "team"é', Rights(frozenset(), True)), "0123", Usage(UNLIMITED))
ASKED = Asked("arrival", ("delays", "gates"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_asked_for_what(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(str(path), now=lambda: 1_700_000_000.25)
    audit.record(CALLER, ASKED, 3, 200, 0.0012344)
    audit.record(None, None, 0, 401, 0.0)
    audit.record(CALLER, Asked(None, tuple(f"v{i}" for i in range(60))), 1, 403, 0.0)
    assert not path.exists()  # nothing is written where a request would wait for it
    audit.flush()
    assert path.stat().st_mode & 0o777 == 0o600
    first, second, third = lines(path)
    assert first == {
        "at": "2023-11-14T22:13:20.250Z",
        "team": 'a "team"é',
        "key": "0123",
        "service": "arrival",
        "views": ["delays", "gates"],
        "entities": 3,
        "status": 200,
        "ms": 1.234,
    }
    assert (second["team"], second["key"], second["views"], second["status"]) == (
        None,
        None,
        [],
        401,
    )
    assert len(third["views"]) == 50 and third["more_views"] == 10


def test_files_are_few_and_short(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(str(path), AuditLimits(file_bytes=2_000, files=3))
    for number in range(100):
        audit.record(CALLER, ASKED, number, 200, 0.0)
        audit.flush()
    kept = [path.with_name(f"{path.name}.{n}") for n in (2, 1)]
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])
    assert all(0 < each.stat().st_size <= 2_000 for each in tmp_path.iterdir())
    numbers = [line["entities"] for each in (*kept, path) for line in lines(each)]
    assert numbers == list(range(100 - len(numbers), 100))


def test_several_workers_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    limits = AuditLimits(file_bytes=20_000, files=1_000)

    def write(worker: int) -> None:
        audit = Audit(str(path), limits)
        for number in range(200):
            audit.record(CALLER, ASKED, worker * 1000 + number, 200, 0.0)
            if number % 3 == 0:
                audit.flush()
        audit.flush()
        assert audit.dropped == 0

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [line["entities"] for each in tmp_path.iterdir() for line in lines(each)]
    assert sorted(found) == [w * 1000 + n for w in range(4) for n in range(200)]


def test_under_pressure_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(str(path), AuditLimits(buffered=10))
    for number in range(25):
        audit.record(CALLER, ASKED, number, 200, 0.0)
    assert audit.dropped == 15
    audit.flush()
    *kept, last = lines(path)
    assert [line["entities"] for line in kept] == list(range(10))
    assert last["dropped"] == 15
    audit.record(CALLER, ASKED, 7, 200, 0.0)
    audit.flush()
    assert lines(path)[-1]["entities"] == 7


def test_a_file_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "folder" / "audit.jsonl"
    audit = Audit(str(path))
    for _ in range(3):
        audit.record(CALLER, ASKED, 1, 200, 0.0)
        audit.flush()
    assert audit.dropped == 3
    assert capsys.readouterr().err.count("warning") == 1
    path.parent.mkdir()
    audit.record(CALLER, ASKED, 2, 200, 0.0)
    audit.flush()
    assert [line.get("entities", line.get("dropped")) for line in lines(path)] == [2, 3]


def test_a_line_too_long_for_a_pipe_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "w") as writer:
        monkeypatch.setattr("sys.stdout", writer)
        audit = Audit("-")
        for number, views in enumerate((["v"], ["v" * 200] * 40, ["v"])):
            audit.record(CALLER, Asked(None, views), number, 200, 0.0)
        audit.flush()
        os.set_blocking(read, False)
        found = [json.loads(line)["entities"] for line in reader.read().splitlines()]
    assert (found, audit.dropped) == ([0, 2], 1)


def test_a_reader_that_reads_nothing_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "w") as writer:
        monkeypatch.setattr("sys.stdout", writer)
        audit = Audit("-")
        for number in range(5_000):
            audit.record(CALLER, ASKED, number, 200, 0.0)
        audit.flush()  # a pipe holds 64 kB
        assert 4_000 < audit.dropped < 5_000
        os.set_blocking(read, False)
        found = [json.loads(line)["entities"] for line in reader.read().splitlines()]
        assert found == list(range(5_000 - audit.dropped))
