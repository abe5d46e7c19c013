"""Rows added to a training set: each once, in any order, each as of its own instant."""

from __future__ import annotations

import fcntl
import random

import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, payments
from tests.forebay.training.fraud import (
    append,
    draw,
    paid_now,
    rows_of,
    start,
    true_features,
    write_spine,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def shell(fraud: Shell) -> Shell:
    return fraud


def test_rows_come_in_any_order_and_never_twice_beside_the_oracle(shell: Shell) -> None:
    rows = draw(120, 1)
    random.Random(2).shuffle(rows)
    start(shell, rows[:40])
    before = paid_now(shell)
    assert append(shell, rows[:40]) == (0, 40, 40)
    commit_rows(open_lake(lake_of(shell.folder)), "raw.payments", payments((4, 5)), mode="append")
    assert append(shell, rows[30:100], "--dry-run") == (60, 10, 100)
    assert len(rows_of(shell)) == 40
    assert append(shell, rows[30:100]) == (60, 10, 100)
    assert append(shell, reversed(rows)) == (20, 100, 120)
    assert append(shell, rows) == (0, 120, 120)
    found, now = rows_of(shell), paid_now(shell)
    assert [row[:3] for row in found[:100]] == rows[:100]
    assert sorted(row[:3] for row in found) == sorted(rows)
    for place, (customer, at, _, *features) in enumerate(found):
        paid = before if place < 40 else now
        assert tuple(features) == true_features(customer, at, paid), (place, customer, at)
    assert len(before) < len(now)


def test_a_row_that_stands_twice_in_a_spine_is_two_rows(shell: Shell) -> None:
    one, two = draw(2, 3)
    start(shell, [one, one, two])
    assert append(shell, [one, two, one]) == (0, 3, 3)
    assert append(shell, [one, one, one, two]) == (1, 3, 4)


def test_a_set_of_several_parts_is_made_again_byte_for_byte(shell: Shell) -> None:
    rows = draw(90, 4)
    start(shell, rows[:30])
    for day, end in ((4, 60), (5, 90)):
        commit_rows(
            open_lake(lake_of(shell.folder)), "raw.payments", payments((day,)), mode="append"
        )
        append(shell, rows[:end])
    clean = ("--keep-hours", "0", "--orphan-days", "0", "--keep-metadata", "0")
    assert shell.run("maintain", *clean) == 0, shell.out + shell.err
    words = ("train", "--as-recorded", "a.parquet", "--out", "b.parquet")
    assert shell.run(*words) == 0, shell.out + shell.err
    first = (shell.folder / "a.parquet").read_bytes()
    assert (shell.folder / "b.parquet").read_bytes() == first
    kept = "target/forebay/training/fraud.json"
    assert "rows were added" in shell.refused("train", "--as-recorded", kept)
    assert shell.run("maintain", "--forget", "a.parquet") == 0
    assert set(load_table(open_lake(lake_of(shell.folder)), "raw.payments").refs()) == {"main"}


def test_what_rows_cannot_be_added_to(shell: Shell) -> None:
    rows = draw(10, 5)
    start(shell, rows)
    before = (shell.folder / "a.parquet").read_bytes()
    words = ("train", "fraud", "--append", "--out", "a.parquet", "--spine")
    other = shell.folder / "other.csv"
    other.write_text("customer,at,grade\na,2024-01-02 00:00:00Z,x\n")
    line = shell.refused(*words, str(other))
    assert "it lacks label; it has grade too" in line
    line = shell.refused("train", "churn", *words[2:], str(other))
    assert "training set of 'fraud', not of 'churn'" in line
    assert shell.refused(*words[:2], "--append", "--spine", "other.csv", "--out", "none.parquet")
    edit(shell.folder, "models/spending.sql", "interval '60' day", "interval '2' day")
    line = shell.refused(*words, str(write_spine(shell.folder / "more.csv", draw(5, 6))))
    assert "mean something else" in line and "spending__payments_60d" in line
    assert (shell.folder / "a.parquet").read_bytes() == before


def test_of_two_at_once_one_is_refused(shell: Shell) -> None:
    rows = draw(20, 7)
    start(shell, rows[:10])
    spine = str(write_spine(shell.folder / "more.csv", rows))
    words = ("train", "fraud", "--spine", spine, "--append", "--out", "a.parquet")
    with (shell.folder / "a.parquet").open("rb") as other:
        fcntl.flock(other.fileno(), fcntl.LOCK_EX)
        assert "another process is adding rows" in shell.refused(*words)
    assert len(rows_of(shell)) == 10
    assert append(shell, rows) == (10, 10, 20)
