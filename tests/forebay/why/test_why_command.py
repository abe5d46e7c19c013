"""`forebay why`: offline, online, and as it was served."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forebay.dbt_project.project import Project
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.monitoring.test_compare_served import serve
from tests.forebay.small import edit, lake_of, make_project

pytestmark = pytest.mark.slow

AT = "2024-01-05T00:00:00+00:00"


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)


def why(shell: Shell, *words: str, code: int = 0) -> dict[str, Any]:
    assert shell.run("why", *words, "--json") == code, shell.err
    found: dict[str, Any] = json.loads(shell.out)
    return found


def parts(found: dict[str, Any]) -> list[tuple[Any, Any, bool]]:
    """Amount, value without it, and whether it is shared, of each row."""
    return [
        (r["row"]["amount"], r["without"], r["shared"]) for t in found["tables"] for r in t["rows"]
    ]


def pay(root: Path, day: int, customer: str, amount: int) -> None:
    row = {"customer": [customer], "amount": [amount]}
    times = pa.array([datetime(2024, 1, day, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    table = pa.table({**row, "paid_at": times})
    commit_rows(open_lake(lake_of(root)), "raw.payments", table, mode="append")


def test_offline(project: Shell) -> None:
    found = why(project, "fraud.spending__spent_60d", "--key", "customer=a", "--at", AT)
    assert (found["value"], found["told"], found["feature"]) == (60, 60, "spending.spent_60d")
    assert found["service"] == "fraud" and found["agrees"]
    assert parts(found) == [(30, 30, False), (20, 40, False), (10, 50, False)]
    assert all(r["row"]["customer"] == "a" for t in found["tables"] for r in t["rows"])
    assert (found["candidates"], found["examined"]) == (3, 3)
    snapshot = load_table(open_lake(lake_of(project.folder)), "raw.payments").current_snapshot()
    assert snapshot is not None
    assert [(t["table"], t["snapshot"]) for t in found["tables"]] == [
        ("raw.payments", snapshot.snapshot_id)
    ]
    assert "ref('stg_payments')" in found["sql"]

    # Of the greatest, one row decides; of two that tie, either would do.
    most = ("spending.most_60d", "--key", "customer=a", "--at", AT)
    assert parts(why(project, *most)) == [(30, 20, False)]
    pay(project.folder, 1, "a", 30)
    ((amount, without, shared),) = parts(why(project, *most))
    assert (amount, without, shared) == (30, 30, True)
    # The latest row of a history, and what it computes.
    twice = why(project, "last_payment.twice", "--key", "customer=b", "--at", AT)
    assert (twice["value"], parts(twice)) == (60, [(30, 40, False)])
    nobody = why(project, "spending.spent_60d", "--key", "customer=nobody")
    assert (nobody["value"], nobody["candidates"]) == (None, 0)

    assert project.run("why", *most, "--most", "1", "--rows", "0") == 0
    assert "3 older rows were not looked at: --most 4 does" in project.out
    assert "models/spending.sql:" in project.out and "raw.payments at snapshot" in project.out


def test_of_the_online_store_and_of_what_was_served(project: Shell) -> None:
    for words in (("build",), ("sync",)):
        assert project.run(*words) == 0, project.err
    asked = ("spending.spent_60d", "--key", "customer=a")
    # A row that came since is not in what the store has, nor in the rows behind that.
    pay(project.folder, 9, "a", 1000)
    found = why(project, *asked, "--online")
    assert (found["told"], found["value"]) == (140, 140)
    assert [amount for amount, _, _ in parts(found)] == [80, 30, 20, 10]
    assert why(project, *asked)["value"] == 1140
    later = why(project, "last_payment.amount", "--key", "customer=a", "--online",
                "--at", "2024-01-20T00:00:00Z")  # fmt: skip
    # Its ttl of a week is over by then.
    assert (later["told"], later["value"], parts(later)) == (None, None, [])
    assert later["loaded_at"].startswith("2024-01-10")
    refused = project.refused("why", *asked, "--online", "--at", "2024-01-09T00:00:00Z")
    assert "later than" in refused
    refused = project.refused("why", *asked, "--served")
    assert "is logged" in refused and "forebay served" in refused


def test_what_cannot_be_told(project: Shell) -> None:
    key = ("--key", "customer=a")
    assert "spent_60d" in project.refused("why", "fraud.spent_60", *key)
    assert "SERVICE.FEATURE" in project.refused("why", "fraud", *key)
    assert "fraud" in project.refused("why", "fraudd.amount", *key)
    assert "customer" in project.refused("why", "fraud.amount", "--key", "costumer=a")
    # A name that two views of a service have.
    edit(project.folder, "models/spending.sql", "as most_60d", "as amount")
    assert "last_payment__amount" in project.refused("why", "fraud.amount", *key)


@pytest.mark.slow
def test_of_what_a_server_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)
    for words in (("build",), ("sync",)):
        assert shell.run(*words) == 0, shell.err
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789abcdef")
    place = tmp_path / "server"
    place.mkdir()
    served = serve(Project(shell.folder), datetime(2024, 1, 12, tzinfo=UTC), place, str(secret))
    assert served["a"] == 140
    edit(
        shell.folder,
        "profiles/profiles.yml",
        "            online: lmdb://online.lmdb\n",
        f"            online: lmdb://online.lmdb\n            serve: {{served_secret: {secret}}}\n",
    )
    pay(shell.folder, 9, "a", 1000)
    asked = ("fraud.spent_60d", "--key", "customer=a", "--served", "--at", "2024-01-13T00:00:00Z")
    found = why(shell, *asked)
    assert (found["told"], found["value"], found["note"]) == (140, 140, "")
    assert found["at"].startswith("2024-01-12") and found["loaded_at"].startswith("2024-01-10")
    assert [amount for amount, _, _ in parts(found)] == [80, 30, 20, 10]
    assert "is logged" in shell.refused("why", *asked[:-1], "2024-01-11T00:00:00Z")
    # Once the view means something else, what was served is not explained by it.
    edit(shell.folder, "models/spending.sql", "'60' day", "'61' day")
    assert "another definition" in shell.refused("why", *asked)
