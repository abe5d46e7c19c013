"""A view's history as of many instants, beside brute force; runs that are killed lose and double nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import find_table, load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, make_project, payments

pytestmark = pytest.mark.slow

EVERYTHING = ("--keep-hours", "0", "--orphan-days", "0", "--keep-metadata", "0")
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    made = Shell(make_project(tmp_path), monkeypatch, capsys)
    edit(tmp_path, "models/spending.sql", "interval '60' day", "interval '4' day")
    assert made.run("compile") == 0, made.err
    return made


def words(view: str, days: int, every: str = "12h", chunk: str = "2d") -> tuple[str, ...]:
    end = (START + timedelta(days=days)).isoformat()
    return ("backfill", view, "--from", START.isoformat(), "--to", end, "--every", every,
            "--chunk", chunk)  # fmt: skip


def rows_of(shell: Shell, table: str) -> list[dict[str, Any]]:
    found = load_table(open_lake(lake_of(shell.folder)), table).scan().to_arrow().to_pylist()
    return sorted(found, key=lambda row: (row["as_of"], row["customer"]))


def paid(shell: Shell) -> list[dict[str, Any]]:
    return list(
        load_table(open_lake(lake_of(shell.folder)), "raw.payments").scan().to_arrow().to_pylist()
    )


def true_history(rows: list[dict[str, Any]], days: float, hours: int) -> list[dict[str, Any]]:
    """By looking at each payment at each instant, without any code of ours."""
    out, at = [], START
    while at <= START + timedelta(days=days):
        for customer in sorted({row["customer"] for row in rows}):
            seen = [
                row["amount"]
                for row in rows
                if row["customer"] == customer and at - timedelta(days=4) < row["paid_at"] <= at
            ]
            if seen:
                out.append({"as_of": at, "customer": customer, "payments_60d": len(seen),
                            "spent_60d": sum(seen), "most_60d": max(seen)})  # fmt: skip
        at += timedelta(hours=hours)
    return out


def tags(shell: Shell) -> set[str]:
    return set(load_table(open_lake(lake_of(shell.folder)), "raw.payments").refs()) - {"main"}


def test_each_instant_beside_the_oracle_and_onwards_later(shell: Shell) -> None:
    assert shell.run(*words("spending", 5), "--dry-run", "--json") == 0, shell.err
    told = json.loads(shell.out)
    assert (told["instants"], told["chunks"], told["before"]) == (11, 3, 0)
    table = told["table"]
    lake = open_lake(lake_of(shell.folder))
    assert find_table(lake, table) is None and not tags(shell)
    first = paid(shell)
    assert shell.run(*words("spending", 5), "--json") == 0, shell.err
    told = json.loads(shell.out)
    wanted = true_history(first, 5, 12)
    assert (told["instants"], told["before"], told["rows"]) == (11, 0, len(wanted))
    assert rows_of(shell, table) == wanted and not tags(shell)
    appends = [s for s in load_table(lake, table).snapshots() if s.summary]
    assert len(appends) >= 3  # a chunk a commit

    assert shell.run(*words("spending", 5)) == 0 and "0 rows written" in shell.out
    commit_rows(lake, "raw.payments", payments((4, 6)), mode="append")
    assert shell.run(*words("spending", 8)) == 0, shell.err
    now = true_history(paid(shell), 8, 12)
    after = [row for row in now if row["as_of"] > START + timedelta(days=5)]
    assert rows_of(shell, table) == wanted + after


def test_a_history_view_and_its_ttl(shell: Shell) -> None:
    days = 16  # the last payment is of day 8, the ttl 7 days
    now = ("--now", (START + timedelta(days=days)).isoformat())
    assert shell.run(*words("last_payment", days, "1d", "5d"), *now, "--json") == 0, shell.err
    found = {(r["as_of"], r["customer"]): r for r in rows_of(shell, json.loads(shell.out)["table"])}
    rows = paid(shell)
    for day in range(days + 1):
        at = START + timedelta(days=day)
        for customer in "ab":
            seen = [r for r in rows if r["customer"] == customer and r["paid_at"] <= at]
            last = max(seen, key=lambda r: r["paid_at"])
            fresh = at - last["paid_at"] <= timedelta(days=7)
            row = found.pop((at, customer))
            assert row["paid_at"] == last["paid_at"]
            assert row["amount"] == (last["amount"] if fresh else None), (at, customer)
    assert not found


def test_what_is_refused_leaves_the_history_as_it_is(shell: Shell) -> None:
    assert "after the run's clock" in shell.refused(*words("spending", 60))
    assert "not a duration" in shell.refused(*words("spending", 5, "12x"))
    assert shell.run(*words("spending", 5), "--json") == 0, shell.err
    table = json.loads(shell.out)["table"]
    before = rows_of(shell, table)
    line = shell.refused(*words("spending", 5, "1d"))
    assert "every 12:00:00" in line and "--reset" in line
    edit(shell.folder, "models/spending.sql", "interval '4' day", "interval '2' day")
    assert shell.run("compile") == 0
    assert "means something else" in shell.refused(*words("spending", 5))
    assert rows_of(shell, table) == before
    assert shell.run(*words("spending", 5), "--reset") == 0, shell.err
    assert len(rows_of(shell, table)) < len(before)
    edit(shell.folder, "models/spending.sql", "as most_60d", 'as "As_Of"')
    assert shell.run("compile") == 0, shell.err
    assert "has a column 'As_Of'" in shell.refused(*words("spending", 5), "--reset")


def kill_rounds(shell: Shell, rounds: int, seed: int) -> None:
    """Start it and kill it at a random moment, again and again, while the table moves on and is
    maintained; then let it end."""
    drawn, first = random.Random(seed), paid(shell)
    lake = open_lake(lake_of(shell.folder))
    asked = words("spending", 8, "1h", "4h")
    begun = find_table(lake, "main.spending__as_of")
    moved = False
    for _ in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-m", "forebay", *asked],
            cwd=shell.folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        # From when its first commit is there, so that rounds do not all end before they begin.
        before = begun and begun.metadata_location
        while process.poll() is None:
            found = find_table(lake, "main.spending__as_of")
            if found is not None and found.metadata_location != before:
                break
            time.sleep(0.01)
        time.sleep(drawn.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said
        begun = find_table(lake, "main.spending__as_of")
        assert begun is not None
        if not moved and json.loads(begun.properties["forebay.backfill"])["done"]:
            # What comes now is not part of the history that was begun.
            commit_rows(lake, "raw.payments", payments((2, 5)), mode="append")
            moved = True
        assert shell.run("maintain", *EVERYTHING) == 0, shell.out + shell.err
    assert shell.run(*asked, "--json") == 0, shell.out + shell.err
    assert rows_of(shell, json.loads(shell.out)["table"]) == true_history(first, 8, 1)
    assert not tags(shell)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(shell: Shell) -> None:
    kill_rounds(shell, int(os.environ.get("FOREBAY_KILL_ROUNDS", "3")), seed=1)
