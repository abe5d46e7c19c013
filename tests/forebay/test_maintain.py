"""``forebay maintain``: what it says, and that a project goes on from where it was."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import SOURCES, edit, lake_of, make_project, payments

pytestmark = pytest.mark.slow

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
    assert {v["recompute"] for v in json.loads(shell.out)["views"]} == {"step"}, shell.out
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


KEPT = SOURCES.replace("{event_time: paid_at}", "{event_time: paid_at, meta: {retention: 60 days}}")
MARCH = ("--now", "2024-03-05T00:00:00Z")


@pytest.fixture
def kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    make_project(tmp_path, {"models/sources.yml": KEPT})
    return Shell(tmp_path, monkeypatch, capsys)


def days_of(shell: Shell) -> list[int]:
    rows = load_table(open_lake(lake_of(shell.folder)), "raw.payments").scan().to_arrow()
    return sorted({at.day for at in rows["paid_at"].to_pylist()})


@pytest.mark.slow
def test_rows_past_their_retention_go_and_no_value_changes(kept: Shell) -> None:
    assert kept.run("build", *MARCH) == 0, kept.out + kept.err
    assert kept.run("plan", *MARCH, "--json") == 0, kept.out + kept.err
    told = {v["view"]: v["keeps"] for v in json.loads(kept.out)["views"]}
    assert told["last_payment"] == [
        {"leaf": "raw.payments", "keeps": "60 days", "reads_back": "7 days"}
    ]
    assert kept.run("maintain", "raw.payments", *MARCH, "--dry-run", "--json") == 0, kept.err
    (said,) = json.loads(kept.out)
    assert said["removed"] == 6 and days_of(kept) == [1, 2, 3, 8]
    assert kept.run("maintain", "raw.payments", *MARCH) == 0, kept.err
    assert "raw.payments: 6 rows past retention, " in kept.out and days_of(kept) == [8]
    pay(kept, 9)
    assert kept.run("plan", *MARCH, "--json") == 0, kept.out + kept.err
    assert {v["recompute"] for v in json.loads(kept.out)["views"]} == {"step"}, kept.out
    assert kept.run("build", *MARCH) == 0, kept.out + kept.err
    assert kept.run("sync") == 0 and kept.run("verify") == 0, kept.out + kept.err
    spine = kept.folder / "spine.csv"
    spine.write_text("customer,at\na,2024-03-05 00:00:00Z\n")
    train = ("train", "fraud", "--spine", str(spine), "--timestamp", "at", "--out")
    assert kept.run(*train, "a.parquet") == 0, kept.out + kept.err
    got = pq.read_table(kept.folder / "a.parquet")
    assert got["spending__payments_60d"].to_pylist() == [2]
    spine.write_text("customer,at\na,2024-03-05 00:00:00Z\nb,2024-03-01 00:00:00Z\n")
    line = kept.refused(*train, "b.parquet")
    assert "needs rows of" in line and "ask for 2024-03-04T23:59:59.999999+00:00 or later" in line
    assert not (kept.folder / "b.parquet").exists()
    line = kept.refused(
        "preview", "spending", "--key", "customer=a", "--at", "2024-03-01T00:00:00Z"
    )
    assert "that retention has removed" in line


def test_no_row_goes_by_what_the_project_said_once(kept: Shell) -> None:
    assert kept.run("compile") == 0, kept.out + kept.err
    edit(kept.folder, "models/sources.yml", "60 days", "3 years")
    assert kept.run("maintain", "raw.payments", *MARCH) == 0
    assert "no rows were removed by meta.retention" in kept.err and days_of(kept) == [1, 2, 3, 8]


def test_a_view_over_a_shorter_retention_is_not_compiled(kept: Shell) -> None:
    edit(kept.folder, "models/sources.yml", "60 days", "30 days")
    line = kept.refused("compile")
    assert "feature view 'spending' reads 60 days back" in line and "interval '30' day" in line
    edit(kept.folder, "models/sources.yml", "30 days", "60 days")
    edit(kept.folder, "models/views.yml", ", ttl: 7 days", "")
    assert "'last_payment' reads all the past" in kept.refused("compile")


def _with_another_source(shell: Shell, config: str) -> None:
    """A second source over the same table, which says nothing of retention."""
    other = f"      - {{name: late, config: {config}}}\n"
    (shell.folder / "models/sources.yml").write_text(KEPT + other)


def test_rows_stay_while_they_are_young_by_the_times_of_another_source(kept: Shell) -> None:
    meta = "meta: {iceberg_table: raw.payments}"
    _with_another_source(kept, f"{{event_time: landed_at, {meta}}}")
    rows = payments((3, 4))
    march = datetime(2024, 3, 4, tzinfo=UTC)
    landed = pa.array([march, None, march, march - timedelta(days=61)], rows.schema.field(1).type)
    commit_rows(
        open_lake(lake_of(kept.folder)),
        "raw.payments",
        rows.append_column("landed_at", landed),
        mode="append",
        columns="add",
    )
    assert kept.run("compile") == 0, kept.out + kept.err
    assert kept.run("maintain", "raw.payments", *MARCH) == 0, kept.err
    left = load_table(open_lake(lake_of(kept.folder)), "raw.payments").scan().to_arrow()
    # Old by both are a single payment of the 4th; those before have never landed.
    assert len(left) == 11
    assert sorted(x.day for x in left["paid_at"].to_pylist()) == [1, 1, 2, 2, 3, 3, 3, 3, 4, 8, 8]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            "{meta: {iceberg_table: raw.payments, changelog: {key: customer, deleted: gone}}}",
            "whose old rows still say how things are",
        ),
        ("{meta: {iceberg_table: raw.payments, valid_from: paid_at}}", "without a time by which"),
    ],
)
def test_no_row_goes_that_another_source_still_reads(kept: Shell, config: str, said: str) -> None:
    _with_another_source(kept, config)
    line = kept.refused("compile")
    assert said in line and "sources.yml" in line


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ("{event_time: paid_at, meta: {retention: soon}}", "meta.retention is 'soon'"),
        ("{meta: {retention: 1 year, time: static}}", "without a time by which rows age"),
        (
            "{event_time: paid_at, meta: {retention: 1 year, "
            "changelog: {key: customer, deleted: gone}}}",
            "whose old rows still say how things are",
        ),
    ],
)
def test_a_retention_that_means_nothing_is_refused(kept: Shell, meta: str, said: str) -> None:
    text = SOURCES.replace("{event_time: paid_at}", meta)
    (kept.folder / "models/sources.yml").write_text(text)
    assert said in kept.refused("compile")
