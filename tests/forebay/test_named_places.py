"""An error names the option or the place that the user wrote, and an option is never ignored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.forebay.conftest import Shell
from tests.forebay.small import edit, make_project

pytestmark = pytest.mark.slow

_REQUESTED = {
    "models/last_payment.sql": (
        "select customer, paid_at, amount, amount > 50 as large,\n"
        "    amount > {{ request('most', 'integer') }} as above\n"
        "from {{ source('raw', 'payments') }}\n"
    )
}
KEY = ("--key", "customer=a")
MOST = ("--request", "most=50")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("places") / "shop", _REQUESTED)


@pytest.fixture
def shop(small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(small, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("preview", "spending", *KEY, "--at", "2024-03-01"),
            "--at: '2024-03-01' says no time zone. Hint: write 2024-03-01T00:00:00+00:00",
        ),
        (("preview", "spending", *KEY, "--at", "soon"), "--at: 'soon' is not an instant"),
        (("plan", "--now", "soon"), "--now: 'soon' is not an instant"),
        (
            ("preview", "spendin", *KEY),
            "VIEW: no feature view is named 'spendin'. Hint: did you mean 'spending'?",
        ),
        (("explain", "spendin"), "VIEW: no feature view is named 'spendin'"),
        (
            ("preview", "spending", "--key", "customer"),
            "--key: 'customer' is not NAME=VALUE. Hint: write --key NAME=VALUE",
        ),
        (
            ("preview", "last_payment", *KEY),
            "last_payment: request value 'most' is missing. Hint: add --request most=VALUE",
        ),
        (
            ("preview", "last_payment", *KEY, "--request", "most=many"),
            "--request most: 'many' is not of type INT",
        ),
        (("sync", "--every", "5"), "--every goes with --follow"),
        (("sync", "--follow", "--dry-run"), "--follow takes neither --dry-run nor --json"),
        (("ingest", "--example", "flights", "--replace"), "--example takes no TABLE, no FILE"),
        (("ingest", "--example", "flights", "a.b", "a.csv"), "--example takes no TABLE, no FILE"),
    ],
)
def test_what_was_written_is_named(shop: Shell, words: tuple[str, ...], said: str) -> None:
    assert said in shop.refused(*words)


def test_a_name_that_sync_and_train_do_not_know(shop: Shell) -> None:
    assert shop.run("compile") == 0
    assert "VIEW: no feature view is named 'spendin'" in shop.refused("sync", "spendin")
    line = shop.refused("train", "frau", "--spine", "x.csv")
    assert "SERVICE: no feature service is named 'frau'. Hint: did you mean 'fraud'?" in line
    (shop.folder / "spine.csv").write_text("customer,event_timestamp\na,2024-01-10T00:00:00Z\n")
    line = shop.refused("train", "churn", "--spine", "spine.csv", "--lag", "15")
    assert "error: --lag: '15' is not a duration. Hint: write a whole number of" in line
    assert "such as 15 minutes" in line


def test_preview_says_that_the_ttl_has_run_out(shop: Shell) -> None:
    """Paid on the 8th, with a ttl of 7 days: asked on the 12th and on the 20th."""
    at = ("--at", "2024-01-12T00:00Z")
    assert shop.run("preview", "last_payment", *KEY, *MOST, *at) == 0, shop.err
    assert "ttl" not in shop.out
    assert shop.out.splitlines()[2:5] == ["amount   80", "large    true", "above    true"]
    at = ("--at", "2024-01-20T00:00Z")
    assert shop.run("preview", "last_payment", *KEY, *MOST, *at) == 0, shop.err
    assert "all null: what is known is older than the view's ttl of 7 days" in shop.out
    assert shop.run("preview", "last_payment", *KEY, *MOST, *at, "--json") == 0, shop.err
    made = json.loads(shop.out)
    assert made["expired"] is True and set(made["features"].values()) == {None}
    # No payment yet: null for another reason.
    at = ("--at", "2023-01-20T00:00Z")
    assert shop.run("preview", "last_payment", *KEY, *MOST, *at, "--json") == 0, shop.err
    assert json.loads(shop.out)["expired"] is False


@pytest.mark.parametrize("command", ["build", "compile", "plan"])
def test_a_wrong_clock_is_told_before_anything_runs(
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    root = shutil.copytree(small, tmp_path / "shop")
    edit(root, "dbt_project.yml", '"2024-01-10 00:00:00+00:00"', '"2024-01-10T12:00"')
    shell = Shell(root, monkeypatch, capsys)
    line = shell.refused(command)
    assert "dbt_project.yml, var forebay_now: '2024-01-10T12:00' says no time zone" in line
    assert "dbt" not in shell.out and not (root / "target" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        (
            "models/spending.sql",
            "count(*)",
            "cuont(*)",
            "DuckDB has no function cuont() of its own. Hint: did you mean 'count'",
        ),
        (
            "models/spending.sql",
            "select customer",
            "selct customer",
            'DuckDB does not parse the SQL: syntax error at or near "selct"',
        ),
        (
            "models/views.yml",
            "{feature_view: {entities: [customer]}}\n  - name: last",
            "{feature_vew: {entities: [customer]}}\n  - name: last",
            "config.meta has no field 'feature_vew'. Hint: did you mean 'feature_view'?",
        ),
        (
            "models/sources.yml",
            "event_time: paid_at",
            "evnt_time: paid_at",
            "its config has no field 'evnt_time'. Hint: did you mean 'event_time'?",
        ),
        (
            "models/sources.yml",
            "event_time: paid_at",
            "event_time: payed_at",
            "event_time names column 'payed_at', which the table does not have. "
            "Hint: did you mean 'paid_at'?",
        ),
    ],
)
def test_what_is_misspelt_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    right: str,
    wrong: str,
    said: str,
) -> None:
    root = make_project(tmp_path / "shop")
    edit(root, file, right, wrong)
    shell = Shell(root, monkeypatch, capsys)
    assert shell.run("compile") == 2
    assert said in shell.err


def test_hints_of_ingest_can_be_pasted(shop: Shell) -> None:
    (shop.folder / "a.csv").write_text("Account ID,n\nx,1\n")
    (shop.folder / "b.csv").write_text("account_id,n\nx,1\n")
    assert shop.run("ingest", "raw.accounts", "a.csv") == 0, shop.err
    line = shop.refused("ingest", "raw.accounts", "b.csv")
    assert "--rename 'Account ID=account_id'; " in line
    assert line.endswith("--evolve --drop-column 'Account ID'; nothing was written")
    words = ("ingest", "raw.accounts", "a.csv", "--rename", "Account ID=account_id")
    assert "it was loaded before, so that --rename would change nothing" in shop.refused(*words)
    line = shop.refused(*words, "--again")
    assert "Hint: --rename renames the table's columns, not the file's: write 'account_id'" in line
