"""What a real server answered is what its log says, once each, whenever a process is killed."""

from __future__ import annotations

import json
import math
import shutil
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feature_specs.catalog import Column, Feature
from lakehouse.lake import find_table, load_table, open_lake
from serving.keys import encode_key
from serving.served.commit_spool import SERVED, commit_spool
from serving.served.served_log import ServedLog, hash_key
from serving.served.spool import Spool, whole_files
from serving.settings import ServeSettings, read_secret
from serving.sync import sync
from tests.serving.project import Project, carriers, hours, instant, make_view
from tests.serving.server_process import ServerProcess, server_of

MORNING = instant("07-01T08:00")
CARRIERS = ["AA", "B6", "ÜX"]


@pytest.fixture
def shop(project: Project) -> Project:
    """Two views, synced at 08:00 and read at 12:00; the rows of one are too old by then."""
    delays = make_view(
        "delays",
        features=(
            Feature("n", "BIGINT"),
            Feature("delay", "DOUBLE"),
            Feature("excess", "DOUBLE", "", ["sub", ["request", "minutes"], ["column", "delay"]]),
        ),
        requests=(Column("minutes", "DOUBLE"),),
    )
    old = make_view("old", freshness_us=hours(1), on_stale="null")
    project.add(delays, old)
    project.service("arrival", ("delays", "excess"), ("delays", "n"), ("old", "n"))
    rows = carriers({"AA": (3, 1.5), "B6": (None, -0.25), "ÜX": (0, 7.0)})
    project.build(delays, rows, MORNING)
    project.build(old, rows, MORNING)
    sync(project.catalog)
    project.catalog = replace(project.catalog, now=instant("07-01T12:00").isoformat())
    return project


def ask(url: str, entities: list[str | None], minutes: float) -> list[list[Any]]:
    """The vectors of the service's answer."""
    body = {"entities": {"carrier": entities}, "request": {"minutes": [minutes] * len(entities)}}
    request = urllib.request.Request(
        f"{url}/v1/services/arrival/vectors",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        vectors: list[list[Any]] = json.loads(answer.read())["vectors"]
    return vectors


def logged(project: Project) -> list[dict[str, Any]]:
    table = find_table(open_lake(project.catalog.lake), SERVED)
    return [] if table is None else table.scan().to_arrow().to_pylist()


def as_answered(rows: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """The vectors of the log, as the answers had them, each with its key."""
    vectors: dict[tuple[str, int], dict[tuple[str, str], Any]] = {}
    keys = {}
    for row in rows:
        place = row["file"], row["line"]
        values = map(json.loads, row["values"])
        named = {(row["view"], name): v for name, v in zip(row["features"], values, strict=True)}
        vectors.setdefault(place, {}).update(named)
        keys[place] = row["key"][0] if row["key"] else ""
    order = [("delays", "excess"), ("delays", "n"), ("old", "n")]
    return sorted((keys[p], [v[name] for name in order]) for p, v in vectors.items())


def settings_of(folder: Path, **more: Any) -> ServeSettings:
    return ServeSettings(log_served=1.0, served_folder=str(folder / "spool"), **more)


def commit(project: Project, folder: Path) -> int:
    return commit_spool(open_lake(project.catalog.lake), folder / "spool").vectors


@pytest.mark.slow
@pytest.mark.parametrize("end", [ServerProcess.stop, ServerProcess.kill])
def test_the_log_is_what_was_answered(
    shop: Project, tmp_path: Path, end: Callable[[ServerProcess], None]
) -> None:
    asked: list[tuple[str, list[Any]]] = []
    with server_of(shop.catalog, tmp_path, settings=settings_of(tmp_path)) as server:
        for number in range(20):
            entities = [CARRIERS[number % 3], "nobody", None][: 1 + number % 3]
            answers = ask(server.url, entities, number)
            asked += [(key or "", v) for key, v in zip(entities, answers, strict=True)]
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as metrics:
            assert b"forebay_served_log_dropped_total 0.0" in metrics.read()
        _wait_for_lines(tmp_path / "spool", len(asked))
        assert commit(shop, tmp_path) == 0, "a file that its server writes is left to it"
        end(server)
    assert commit(shop, tmp_path) == len(asked)
    rows = logged(shop)
    assert as_answered(rows) == sorted(asked)
    assert {(r["view"], r["status"]) for r in rows if r["key"] == ["AA"]} == {
        ("delays", "PRESENT"),
        ("old", "OUTSIDE_MAX_AGE"),
    }
    assert {r["loaded_at"] for r in rows} == {MORNING}
    assert {r["at"] for r in rows} == {instant("07-01T12:00")}
    minutes = [json.loads(r["request"])["minutes"] for r in rows if r["view"] == "delays"]
    assert sorted(set(minutes)) == list(range(20))
    assert commit(shop, tmp_path) == 0 and len(logged(shop)) == len(rows)


def _wait_for_lines(folder: Path, lines: int) -> None:
    while sum(p.read_bytes().count(b"\n") for p in folder.glob("*-*")) < lines:
        time.sleep(0.05)


def fill(project: Project, folder: Path) -> list[Path]:
    """Two whole files of a vector each."""
    for _ in range(2):
        spool = Spool(folder / "spool")
        view = {"view": "delays", "meaning": "m", "loaded": 1, "key": ["AA"], "hash": None}
        more = {"status": "PRESENT", "features": ["n"], "values": ["3"], "request": None}
        line = {"at": 5_000_000, "service": None, "views": [view | more]}
        assert spool.write([json.dumps(line).encode() + b"\n"]) == 1
        spool.finish()
    return whole_files(folder / "spool")


def test_a_commit_that_was_killed_before_it_removed_files(project: Project, tmp_path: Path) -> None:
    first, second = fill(project, tmp_path)
    shutil.copy(first, tmp_path / "kept")
    second.rename(tmp_path / "second")
    assert commit(project, tmp_path) == 1
    shutil.copy(tmp_path / "kept", first)
    (tmp_path / "second").rename(second)
    done = commit_spool(open_lake(project.catalog.lake), tmp_path / "spool")
    assert (done.files, done.vectors, done.before) == (1, 1, 1)
    assert sorted(r["file"] for r in logged(project)) == sorted([first.name, second.name])
    assert whole_files(tmp_path / "spool") == []
    table = load_table(open_lake(project.catalog.lake), SERVED)
    assert [f.name for f in table.spec().fields] == ["day"]


def test_half_a_line_and_a_file_of_something_else(project: Project, tmp_path: Path) -> None:
    first, second = fill(project, tmp_path)
    with first.open("ab") as file:
        file.write(b'{"at": 5')
    second.write_bytes(b"{}\n")
    lake = open_lake(project.catalog.lake)
    with pytest.raises(Exception, match=r"line 1 is not a served vector.*Hint: move"):
        commit_spool(lake, tmp_path / "spool")
    assert logged(project) == [] and first.exists() and second.exists()
    second.unlink()
    assert commit_spool(lake, tmp_path / "spool", dry_run=True).vectors == 1
    assert first.exists() and commit(project, tmp_path) == 1


def test_a_full_folder_takes_no_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path, file_bytes=100, folder_bytes=250)
    assert spool.write([b"x" * 59 + b"\n"] * 20) == 6
    assert spool.write([b"x\n"]) == 0
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) == 360
    whole_files(tmp_path)[0].unlink()
    assert spool.write([b"x\n"]) == 1


@pytest.mark.parametrize("share", [0.001, 0.3, 1.0])
def test_a_share_is_drawn(tmp_path: Path, share: float) -> None:
    log, entities = ServedLog(share, tmp_path), 100_000
    drawn = list(log._draw(entities))
    assert drawn == sorted(set(drawn)) and set(drawn) <= set(range(entities))
    allowed = 6 * math.sqrt(entities * share * (1 - share))
    assert abs(len(drawn) - entities * share) <= allowed
    low = sum(place < entities // 2 for place in drawn)
    assert abs(low - len(drawn) / 2) <= 6 * math.sqrt(len(drawn)) / 2 or share == 1.0


@pytest.mark.slow
def test_keys_as_hashes(shop: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef\n")
    settings = settings_of(tmp_path, served_secret=str(secret))
    with server_of(shop.catalog, tmp_path, workers=2, settings=settings) as server:
        for _ in range(8):
            ask(server.url, ["AA", "ÜX"], 1)
    text = b"".join(p.read_bytes() for p in (tmp_path / "spool").iterdir())
    assert b"AA" not in text and "ÜX".encode() not in text
    assert commit(shop, tmp_path) == 16
    found = {r["key_hash"] for r in logged(shop)}
    assert found == {hash_key(b"0123456789abcdef", encode_key([c])) for c in ("AA", "ÜX")}
    assert {r["key"] for r in logged(shop)} == {None}


def test_settings(tmp_path: Path) -> None:
    where = "profiles.yml, serve"
    with pytest.raises(Exception, match="more than all"):
        ServeSettings.of({"log_served": 1.5}, where)
    with pytest.raises(Exception, match=r"cannot be read.*openssl rand"):
        read_secret(tmp_path / "none")
    (tmp_path / "short").write_text("abc")
    with pytest.raises(Exception, match="too short"):
        read_secret(tmp_path / "short")
    assert ServeSettings.of({}, where).served_log() is None
