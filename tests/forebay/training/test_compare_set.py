"""A training set beside what its rows would be now: what differs, by how much, and why."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.commit import commit_rows
from lakehouse.lake import open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, payments
from tests.forebay.training.fraud import append, draw, start, true_features

pytestmark = pytest.mark.slow

COUNT, LAST = "spending__payments_60d", "last_payment__amount"


@pytest.fixture
def shell(fraud: Shell) -> Shell:
    return fraud


def verify(shell: Shell, code: int) -> dict[str, Any]:
    assert shell.run("verify", "--training", "a.parquet", "--json") == code, shell.out + shell.err
    told: dict[str, Any] = json.loads(shell.out)
    assert told["ok"] is (code == 0)
    return told


def test_nothing_differs_until_late_rows_come(shell: Shell) -> None:
    rows = draw(60, 1)
    start(shell, rows[:30])
    append(shell, rows)
    assert verify(shell, 0)["values"] == 60 * 4
    # Of a day long past, for one of the customers, and committed only now.
    late = payments((4,)).slice(0, 1)
    commit_rows(open_lake(lake_of(shell.folder)), "raw.payments", late, mode="append")
    told = verify(shell, 1)
    at = datetime(2024, 1, 4, tzinfo=UTC)
    touched = [n for n, (customer, when, _) in enumerate(rows) if customer == "a" and when >= at]
    assert touched and told["different"][COUNT] == [
        len(touched), "rows of raw.payments came or went"
    ]  # fmt: skip
    found = {d["row"]: d for d in told["differences"] if d["feature"] == COUNT}
    known = [
        {"customer": c, "paid_at": datetime(2024, 1, d, tzinfo=UTC), "amount": 10 * d}
        for d in (1, 2, 3, 8)
        for c in "ab"
    ]
    new = [*known, {"customer": "a", "paid_at": at, "amount": 40}]
    for row, told_of in found.items():
        customer, when, _ = rows[row]
        assert row in touched and told_of["spine"]["customer"] == "a"
        assert told_of["recorded"] == str(true_features(customer, when, known)[0])
        assert told_of["now"] == str(true_features(customer, when, new)[0])
    assert shell.run("verify", "--training", "a.parquet") == 1
    assert f"{COUNT}: {len(touched)} differ: rows of raw.payments came or went" in shell.out


def test_a_view_that_was_redefined_and_a_feature_that_is_gone(shell: Shell) -> None:
    start(shell, draw(40, 2))
    edit(shell.folder, "models/spending.sql", "interval '60' day", "interval '1' day")
    edit(shell.folder, "models/views.yml", ", last_payment.amount", "")
    told = verify(shell, 1)
    assert told["gone"] == [LAST]
    assert {why for _, why in told["different"].values()} == {"feature view spending was redefined"}


def test_a_value_that_was_changed_by_hand_is_unexplained(shell: Shell) -> None:
    start(shell, draw(40, 3))
    table = pq.read_table(shell.folder / "a.parquet")
    values = table[COUNT].to_pylist()
    values[7] = 99
    place = table.column_names.index(COUNT)
    changed = table.set_column(place, COUNT, pa.array(values, table[COUNT].type))
    pq.write_table(changed, shell.folder / "a.parquet")
    (each,) = verify(shell, 1)["differences"]
    assert (each["row"], each["recorded"], each["why"]) == (7, "99", "unexplained")


def test_what_is_not_finite_is_no_other_value(shell: Shell) -> None:
    """The difference of NaN or infinity and a number is within any share of the greater one."""
    start(shell, draw(40, 3))
    edit(shell.folder, "models/spending.sql", "count(*)", "count(*)::double")
    start(shell, draw(40, 3))
    table = pq.read_table(shell.folder / "a.parquet")
    values = table[COUNT].to_pylist()
    odd = {n: v for n, v in enumerate(values) if v is not None}
    wanted = dict(zip(list(odd)[:4], [math.nan, math.inf, -math.inf, None], strict=True))
    close = next(n for n, v in odd.items() if v and n not in wanted)
    values = [wanted.get(n, v) if n != close else v * (1 + 1e-12) for n, v in enumerate(values)]
    place = table.column_names.index(COUNT)
    changed = table.set_column(place, COUNT, pa.array(values, pa.float64()))
    pq.write_table(changed, shell.folder / "a.parquet")
    assert [d["row"] for d in verify(shell, 1)["differences"]] == list(wanted)


def test_a_feature_that_is_text_by_now(shell: Shell) -> None:
    rows = draw(40, 4)
    start(shell, rows)
    edit(shell.folder, "models/spending.sql", "count(*)", "'n' || count(*)")
    told = verify(shell, 1)
    number, why = told["different"][COUNT]
    assert number > 0 and why == "feature view spending was redefined"
    first = next(d for d in told["differences"] if d["feature"] == COUNT)
    assert first["now"] == f"n{first['recorded']}"


def test_what_is_no_training_set(shell: Shell) -> None:
    pq.write_table(pa.table({"n": [1]}), shell.folder / "n.parquet")
    assert "no record" in shell.refused("verify", "--training", "n.parquet")
    assert "not a Parquet" in shell.refused("verify", "--training", "none.parquet")
    assert "FILE alone" in shell.refused("verify", "spending", "--training", "n.parquet")
