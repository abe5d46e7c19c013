"""The commands on the built example."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from forebay.cli import COMMANDS
from tests.forebay.conftest import NOW, Shell

pytestmark = pytest.mark.slow


def test_help_names_every_command(shell: Shell) -> None:
    assert shell.run("--help") == 0
    assert all(name in shell.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(shell: Shell, name: str) -> None:
    assert shell.run(name, "--help") == 0
    assert name in shell.out


def test_plan_after_build_has_nothing_to_do(shell: Shell) -> None:
    assert shell.run("plan", "--json") == 0
    plan = json.loads(shell.out)["views"]
    assert {p["recompute"] for p in plan} == {"nothing"}
    assert all("arrival_delay_v1" in p["services"] for p in plan)


def test_plan_of_a_changed_view(broken: Shell) -> None:
    path = broken.folder / "models/features/origin_weather.sql"
    path.write_text("-- a comment changes nothing\n" + path.read_text())
    assert broken.run("plan", "--json") == 0
    assert {p["view"]: p["change"] for p in json.loads(broken.out)["views"]}[
        "origin_weather"
    ] == "unchanged"
    path.write_text(path.read_text().replace("visib", "visib + 1 as visib", 1))
    assert broken.run("plan", "--json") == 0
    changed = {
        p["view"]: p["recompute"]
        for p in json.loads(broken.out)["views"]
        if p["change"] == "changed"
    }
    assert changed == {"origin_weather": "full"}


def test_compile_dry_run_writes_nothing(broken: Shell) -> None:
    assert broken.run("compile", "--dry-run") == 0
    assert not (broken.folder / "target/forebay/catalog.json").exists()


def test_explain(shell: Shell) -> None:
    assert shell.run("explain", "carrier_arrivals") == 0
    for word in ("arrival", "cumulative", "certificate", "visible from", "with fb_spine"):
        assert word in shell.out


def test_explain_refuses_an_invalid_lowering(shell: Shell) -> None:
    line = shell.refused("explain", "carrier_arrivals", "--lowering", "frames")
    assert "not valid here" in line


def test_preview_shows_features_and_rows(shell: Shell) -> None:
    words = ("preview", "route_history", "--key", "origin=JFK", "--key", "dest=LAX", "--json")
    assert shell.run(*words, "--at", NOW) == 0
    made = json.loads(shell.out)
    assert made["features"]["flights_30d"] == made["of"]
    assert all(row["dest"] == "LAX" for row in made["rows"])


def test_train_with_a_spine_keeps_rows_and_columns(shell: Shell, tmp_path: Path) -> None:
    spine, out = tmp_path / "spine.csv", tmp_path / "out.parquet"
    spine.write_text(
        "note,origin,dest,carrier,tailnum,event_timestamp\n"
        + "a,JFK,LAX,AA,N327AA,2013-12-01T12:00:00Z\n" * 2
        + "b,XXX,LAX,,N327AA,2013-12-01T12:00:00Z\n"
    )
    assert shell.run("train", "arrival_delay_v1", "--spine", str(spine), "--out", str(out)) == 0
    rows = (
        duckdb.connect()
        .execute(
            "select note, origin_departures__departures_24h, carrier_arrivals__arrivals_7d "
            f"from '{out}' order by note"
        )
        .fetchall()
    )
    assert [r[0] for r in rows] == ["a", "a", "b"]
    assert rows[0] == rows[1] and rows[0][1] > 100 and rows[0][2] > 100
    assert rows[2][1:] == (None, None)


def test_training_set_has_every_flight(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    assert shell.run("train", "arrival_delay_v1", "--out", str(out), "--json") == 0
    assert json.loads(shell.out)["rows"] == 336_776
    counted = (
        duckdb.connect()
        .execute(f"select count(distinct flight_id), count(late_15) from '{out}'")
        .fetchall()
    )
    assert counted[0] == (336_776, 327_346)


def test_verify_is_equal_after_sync_and_says_so(shell: Shell) -> None:
    assert shell.run("verify", "--json") == 0
    reports = json.loads(shell.out)
    assert len(reports) == 6 and all(r["ok"] and r["values"] for r in reports)


def test_sync_again_changes_nothing(shell: Shell) -> None:
    assert shell.run("sync", "--json") == 0
    assert {r["action"] for r in json.loads(shell.out)} == {"unchanged"}


def test_shell_completion_is_offered(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FOREBAY_COMPLETE", "bash_source")
    assert shell.run() == 0
    assert "complete" in shell.out


def test_the_lineage_page_shows_what_the_command_prints(shell: Shell) -> None:
    assert shell.run("lineage", "carrier_arrivals.late_share_7d", "--mermaid") == 0, shell.err
    page = (Path(__file__).parents[2] / "docs" / "lineage.md").read_text()
    assert f"```mermaid\n{shell.out}```\n" in page
