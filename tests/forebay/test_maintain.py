"""``forebay maintain``: what it says, and that a project goes on from where it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import lake_of, make_project, payments

EVERYTHING = ("--keep-hours", "0", "--orphan-days", "0", "--keep-metadata", "0")


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    make_project(tmp_path)
    return Shell(tmp_path, monkeypatch, capsys)


def pay(shell: Shell, *days: int) -> None:
    commit_rows(open_lake(lake_of(shell.folder)), "raw.payments", payments(days), mode="append")


def snapshots(shell: Shell, table: str) -> list[int]:
    found = load_table(open_lake(lake_of(shell.folder)), table)
    return [s.snapshot_id for s in found.snapshots()]


def test_a_dry_run_says_what_the_run_then_frees(shell: Shell) -> None:
    for day in (4, 5, 6):
        pay(shell, day)
    assert shell.run("maintain", "--dry-run", "--json", *EVERYTHING) == 0
    (said,) = json.loads(shell.out)
    assert (said["table"], said["snapshots"]) == ("raw.payments", {"expired": 3, "kept": 1})
    assert len(snapshots(shell, "raw.payments")) == 4
    assert shell.run("maintain", "raw.payments", *EVERYTHING) == 0
    first, last = shell.out.splitlines()
    assert first.startswith("raw.payments: 3 of 4 snapshots, ") and last.endswith(" freed")
    assert len(snapshots(shell, "raw.payments")) == 1
    assert shell.run("maintain", "--json") == 0
    (said,) = json.loads(shell.out)
    assert said["freed"]["files"] == 0 and said["snapshots"] == {"expired": 0, "kept": 1}


def test_a_table_that_is_not_there_is_named_with_the_closest(shell: Shell) -> None:
    line = shell.refused("maintain", "raw.payment")
    assert "no Iceberg table 'raw.payment'" in line and "did you mean 'raw.payments'?" in line


def test_it_runs_in_a_process_of_its_own(shell: Shell) -> None:
    """Which has only those modules at hand that its command is said to need."""
    words = [sys.executable, "-m", "forebay", "maintain", "--json"]
    done = subprocess.run(words, cwd=shell.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["table"] == "raw.payments"


@pytest.mark.slow
def test_steps_sync_training_and_verify_go_on_from_where_they_were(shell: Shell) -> None:
    spine = shell.folder / "spine.csv"
    spine.write_text("customer,at\na,2024-01-03 12:00:00Z\nb,2024-01-09 00:00:00Z\n")
    train = ("train", "fraud", "--spine", str(spine), "--timestamp", "at", "--out")
    for words in (("build",), ("sync",), (*train, "a.parquet")):
        assert shell.run(*words) == 0, shell.out + shell.err
    read = snapshots(shell, "raw.payments")[-1]
    for day in (4, 5):
        pay(shell, day)
        assert shell.run("maintain", *EVERYTHING) == 0, shell.out + shell.err
        assert read in snapshots(shell, "raw.payments")
    assert shell.run("plan", "--json") == 0, shell.out + shell.err
    assert {v["recompute"] for v in json.loads(shell.out)} == {"step"}, shell.out
    assert shell.run("build") == 0, shell.out + shell.err
    assert shell.run("maintain", *EVERYTHING) == 0, shell.out + shell.err
    assert shell.run("sync", "--json") == 0, shell.out + shell.err
    assert {v["view"]: v["action"] for v in json.loads(shell.out)} == {
        "spending": "changed",
        "last_payment": "unchanged",  # day 8 is still the last
    }
    assert shell.run("verify") == 0, shell.out + shell.err
    assert shell.run("train", "churn", *train[2:], "c.parquet") == 0, shell.out + shell.err
    assert shell.run("maintain", *EVERYTHING) == 0, shell.out + shell.err
    assert read in snapshots(shell, "raw.payments")  # the training set's
    assert shell.run(*train, "b.parquet") == 0, shell.out + shell.err
    before, after = (pq.read_table(shell.folder / f"{n}.parquet") for n in "ab")
    assert before.num_rows == after.num_rows == 2
    assert after["spending__payments_60d"].to_pylist() == [3, 6]
    assert shell.run("build", "--full-refresh") == 0, shell.out + shell.err
    assert shell.run("sync", "--json") == 0 and shell.run("verify") == 0, shell.out + shell.err
