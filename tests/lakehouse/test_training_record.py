"""What a training set's record says of the calls, the git commit and the tables behind it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lakehouse.lake import open_lake
from lakehouse.training_record import (
    PROPERTY,
    SpineReading,
    exported,
    file_hash,
    git_commit,
    make_record,
    parse_record,
    read_property,
    readings_of,
)
from tests.serving.project import Project, carriers, instant, make_view


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def call(**said: object) -> str:
    whole = {"service": "s", "spine": '"d"."m"."labels"', "timestamp": "ts", "lag_us": 0, **said}
    return f"/* forebay point_in_time {json.dumps(whole)} */"


def test_calls_are_read_from_the_models_sql() -> None:
    sql = f"select * from (\n{call(lag_us=900_000_000)}\nwith a as (select 1) /* else */ select 1)"
    sql += f" union all {call(service='t')} select 2"
    spine = {"relation": '"d"."m"."labels"'}
    assert readings_of(sql) == [
        SpineReading("s", spine, "ts", 900_000_000),
        SpineReading("t", spine, "ts", 0),
    ]
    assert readings_of("select 1 /* nothing */") == []


def test_the_commit_of_a_folder(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        command = ["git", *who, *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    assert git_commit(tmp_path) is None
    (tmp_path / "a.sql").write_text("select 1")
    git("add", "-A")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a.sql").write_text("select 2")
    assert git_commit(tmp_path) == {"commit": commit, "dirty": True}


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) is None


@pytest.mark.parametrize("text", [None, "", "no JSON", "null", "[]", '{"format": 99}', b"\xff"])
def test_what_is_no_record(text: str | bytes | None) -> None:
    assert parse_record(text) is None


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_hash(tmp_path / "abc") == expected


def test_views_that_are_built_and_not_built(project: Project) -> None:
    built, unbuilt = make_view("built"), make_view("unbuilt", semantic_hash="hash2")
    project.add(built, unbuilt)
    project.service("s", ("built", "n"), ("unbuilt", "delay"))
    project.build(built, carriers({"AA": (1, 1.0)}), instant("06-01T00:00"))
    lake = project.table("features.built", carriers({}).schema)
    record = make_record(
        project.catalog,
        open_lake(project.catalog.lake),
        [SpineReading("s", {"rows": 1}, "ts")],
        {},
        {"built__n": "BIGINT", "carrier": "VARCHAR"},
        project.folder,
    )
    snapshot = lake.current_snapshot()
    assert snapshot is not None
    assert record["views"] == {
        "built": {
            "semantic_hash": "hash1",
            "definition_hash": "",
            "table": "features.built",
            "uuid": str(lake.metadata.table_uuid),
            "snapshot": snapshot.snapshot_id,
            "schema": 0,
        },
        "unbuilt": {
            "semantic_hash": "hash2",
            "definition_hash": "",
            "table": "features.unbuilt",
            "uuid": None,
            "snapshot": None,
            "schema": None,
        },
    }
    assert record["features"] == [
        {"name": "built__n", "view": "built", "feature": "n", "type": "BIGINT"},
        {"name": "unbuilt__delay", "view": "unbuilt", "feature": "delay", "type": None},
    ]
    assert "others" not in record
    assert parse_record(json.dumps(record)) == record


def test_a_table_without_a_record_is_exported_with_what_is_known(project: Project) -> None:
    table = project.table("features.old", carriers({}).schema)
    assert read_property(table) is None
    made = exported(None, table, {"n": "BIGINT"})
    assert (made["made_at"], made["features"]) == (None, [])
    assert made["model"]["table"] == "features.old"
    with table.transaction() as change:
        change.set_properties({PROPERTY: json.dumps({"format": 1, "made_at": "then"})})
    found = read_property(table)
    assert found is not None and exported(found, table, {})["made_at"] == "then"
