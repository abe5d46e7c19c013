"""`forebay import feast` on a real repository: what it writes, says, and leaves alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.feast.environment import feast_python
from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow

FOLDER = "models/features/feast"


@pytest.fixture
def words(repository: Path) -> list[str]:
    return ["import", "feast", str(repository), "--python", str(feast_python())]


@pytest.fixture
def empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


def files_under(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


def test_a_new_project(empty: Shell, words: list[str], repository: Path) -> None:
    assert empty.run(*words, "--into", "rides", "--json") == 0
    said = json.loads(empty.out)
    assert said["views"] == {
        "areas": ["Group", "open"],
        "driver_forever": ["score"],
        "driver_stats": ["score", "trips", "label"],
        "origin": ["score", "trips", "label"],
    }
    assert said["services"]["re-named"] == [
        "origin.score", "origin.trips", "origin.label", "driver_forever.score",
    ]  # fmt: skip
    assert said["tables"] == {"rides.stats_source": "stats source", "rides.areas": "areas"}
    left = {f"{item['kind']} {item['name']}: {item['what']}" for item in said["left"]}
    assert left == {
        "feature view alone: it has no entity",
        "feature view areas: online: false is not kept",
        "on-demand feature view totals: its transformation is pandas code, for total",
        "feature service re-named: lacks total: on-demand feature view totals is not carried over",
        "feature service only_totals: lacks total: on-demand feature view totals is not carried over",
        "feature service only_totals: no feature of it is carried over",
        "push source pushed: rows come into the tables by `forebay ingest`",
    }
    assert set(said["files"]) == {
        f"{FOLDER}/{name}"
        for name in (
            "sources.yml", "features.yml", "services.yml", "areas.sql", "driver_forever.sql",
            "driver_stats.sql", "origin.sql",
        )
    }  # fmt: skip
    made = files_under(empty.folder / "rides")
    assert set(said["files"]) < set(made)
    assert {"dbt_project.yml", "profiles/profiles.yml", "macros/forebay.sql"} < set(made)
    assert said["next"][1:3] == [
        f"forebay ingest rides.areas {repository}/areas.parquet --timezone UTC",
        f"forebay ingest rides.stats_source {repository}/stats.parquet --timezone UTC",
    ]


def test_nothing_is_written_over(empty: Shell, words: list[str]) -> None:
    assert empty.run(*words, "--into", "rides") == 0
    assert "Not carried over:" in empty.out and "wrote 7 files" in empty.out
    before = files_under(empty.folder)
    assert "areas.sql" in empty.refused(*words, "--into", "rides")
    assert "areas.sql" in empty.refused(*words, "--into", "rides", "--dry-run")
    assert files_under(empty.folder) == before


def test_a_model_of_that_name_elsewhere_is_in_the_way(empty: Shell, words: list[str]) -> None:
    assert empty.run("init", "mine") == 0
    other = empty.folder / "mine" / "models" / "marts" / "areas.sql"
    other.parent.mkdir()
    other.write_text("select 1 as x\n")
    before = files_under(empty.folder)
    assert "models/marts/areas.sql" in empty.refused(*words, "--into", "mine")
    assert files_under(empty.folder) == before
    other.unlink()
    assert empty.run(*words, "--into", "mine") == 0
    after = files_under(empty.folder / "mine")
    assert f"{FOLDER}/areas.sql" in after
    kept = {k: v for k, v in before.items() if k != "mine/models/marts/areas.sql"}
    assert {k: v for k, v in files_under(empty.folder).items() if "feast/" not in k} == kept


def test_a_dry_run_writes_nothing(empty: Shell, words: list[str]) -> None:
    """And a path to Python is meant from where the command is typed."""
    python = os.path.relpath(words[-1], empty.folder)
    assert empty.run(*words[:-1], python, "--into", "rides", "--dry-run") == 0
    assert "nothing written" in empty.out
    assert files_under(empty.folder) == {}


def test_what_is_no_repository(empty: Shell, words: list[str], repository: Path) -> None:
    (empty.folder / "folder").mkdir()
    line = empty.refused("import", "feast", "folder", "--into", "x")
    assert "no feature_store.yaml" in line
    assert "has no Feast" in empty.refused(
        "import", "feast", str(repository), "--into", "x", "--python", sys.executable
    )
    assert "cannot be run" in empty.refused(
        "import", "feast", str(repository), "--into", "x", "--python", "/nowhere/python"
    )
    settings = (repository / "feature_store.yaml").read_text()
    (empty.folder / "folder" / "feature_store.yaml").write_text(settings)
    unapplied = ["import", "feast", "folder", *words[3:], "--into", "x"]
    assert "run `feast apply`" in empty.refused(*unapplied)
    (empty.folder / "folder" / "feature_store.yaml").write_text("project: 1\n")
    assert "Feast cannot read" in empty.refused(*unapplied)
    assert not (empty.folder / "x").exists()
    occupied = empty.refused(*words, "--into", "folder")
    assert "something is there already" in occupied
