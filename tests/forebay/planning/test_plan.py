"""What plan says has changed since the last build, and what a build then does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from forebay.dbt_project.project import Project
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import edit, lake_of, make_project, payments

pytestmark = pytest.mark.slow
NOW = "2024-01-10T00:00:00+00:00"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A built project; every test leaves its files as they were."""
    root = make_project(tmp_path_factory.mktemp("plan") / "shop")
    with pytest.MonkeyPatch.context() as patch:
        yield Shell(root, patch, None)  # type: ignore[arg-type]


@pytest.fixture
def own(shop: Shell, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    shop.capture = capsys
    if not (shop.folder / "target/shop.duckdb").exists():
        assert shop.run("build") == 0, shop.err
    texts = {p: p.read_text() for p in (shop.folder / "models").iterdir()}
    yield shop
    for path, text in texts.items():
        path.write_text(text)


def plan(shell: Shell, *words: str) -> dict[str, Any]:
    assert shell.run("plan", "--json", *words) == 0, shell.err
    return {p["view"]: p for p in json.loads(shell.out)["views"]}


def changes(planned: Any) -> list[tuple[Any, ...]]:
    return [(c["what"], c["old"], c["new"], c["at_reading"]) for c in planned["changes"]]


def test_nothing_to_do_after_a_build(own: Shell) -> None:
    assert {n: (p["change"], p["recompute"]) for n, p in plan(own).items()} == {
        "spending": ("unchanged", "nothing"),
        "last_payment": ("unchanged", "nothing"),
    }


def test_a_window_a_filter_and_a_feature(own: Shell) -> None:
    edit(own.folder, "models/spending.sql", "'60' day", "'45' day")
    edit(own.folder, "models/stg_payments.sql", "}}", "}} where amount > 15")
    edit(own.folder, "models/last_payment.sql", "amount * 2", "amount * 3")
    found = plan(own)
    spending, last = found["spending"], found["last_payment"]
    assert changes(spending) == [
        ("where", "stg_payments.paid_at > CURRENT_TIMESTAMP - INTERVAL '60' DAY",
         "stg_payments.paid_at > CURRENT_TIMESTAMP - INTERVAL '45' DAY", False),
        ("in stg_payments, where", None, "payments.amount > 15", False),
    ]  # fmt: skip
    assert (spending["change"], spending["recompute"]) == ("changed", "full")
    assert spending["features"] == ["payments_60d", "spent_60d", "most_60d"]
    assert changes(last) == [("feature twice", "payments.amount * 2", "payments.amount * 3", False)]
    assert last["features"] == ["twice"]
    assert own.run("plan") == 0
    assert "INTERVAL '60' DAY -> stg_payments.paid_at > CURRENT" in own.out
    assert "\x1b" not in own.out


def test_a_renamed_feature_breaks_the_service_that_has_it(own: Shell) -> None:
    edit(own.folder, "models/spending.sql", "as most_60d", "as largest_60d")
    planned = plan(own)["spending"]
    assert planned["columns"] == ["+largest_60d", "-most_60d"]
    assert planned["breaks"] == ["fraud.most_60d"]
    assert own.run("plan") == 0
    assert "BREAKS service fraud, which loses feature most_60d" in own.out


def test_a_view_that_gets_another_table_breaks_whom_it_would_break_otherwise(own: Shell) -> None:
    named = "name: spending\n    config:\n"
    edit(own.folder, "models/views.yml", named, f"{named}      alias: spent\n")
    planned = plan(own)["spending"]
    assert (planned["change"], planned["recompute"], planned["breaks"]) == ("changed", "full", [])
    assert own.run("plan", "--fail-on", "breaking") == 0
    edit(own.folder, "models/spending.sql", "as most_60d", "as largest_60d")
    planned = plan(own)["spending"]
    assert planned["columns"] == ["+largest_60d", "-most_60d"]
    assert planned["breaks"] == ["fraud.most_60d"]
    assert own.run("plan", "--fail-on", "breaking") == 1


def test_a_feature_that_a_service_lists_is_refused_by_name(own: Shell) -> None:
    edit(own.folder, "models/spending.sql", "as payments_60d", "as number_60d")
    line = own.refused("plan")
    assert "(churn)" in line and "payments_60d" in line and "models/views.yml:" in line


def test_a_ttl_alone_recomputes_nothing_and_is_picked_up(own: Shell) -> None:
    edit(own.folder, "models/views.yml", "ttl: 7 days", "ttl: 1 day")
    planned = plan(own)["last_payment"]
    assert changes(planned) == [("ttl", "7 days", "1 day", True)]
    assert (planned["change"], planned["recompute"]) == ("changed", "nothing")
    assert own.run("compile") == 0
    assert Project(own.folder).catalog().view("last_payment").ttl_us == 86_400_000_000
    # Paid on the 8th, asked on the 10th: too old now.
    words = ("preview", "last_payment", "--key", "customer=a", "--json", "--at", NOW)
    assert own.run(*words) == 0
    assert json.loads(own.out)["features"]["amount"] is None


def test_owner_and_descriptions_change_nothing(own: Shell) -> None:
    edit(own.folder, "models/views.yml", "ttl: 7 days", "ttl: 7 days, owner: someone")
    assert plan(own)["last_payment"]["change"] == "unchanged"


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("models/views.yml", "ttl: 7 days", "ttl: 7 days, boundary: exclusive",
         ("boundary", "inclusive", "exclusive", False)),
        ("models/views.yml", "ttl: 7 days", "ttl: 7 days, tie_break: [amount]",
         ("tie_break", None, "amount", False)),
        ("models/sources.yml", "{event_time: paid_at}", "{event_time: paid_at, meta: {visibility: event}}",
         ("visibility of leaf shop.raw.payments", None, "event", False)),
        ("models/last_payment.sql", "amount * 2", "cast(amount * 2 as double)",
         ("feature twice", "payments.amount * 2", "CAST(payments.amount * 2 AS DOUBLE)", False)),
    ],
)  # fmt: skip
def test_options_and_roles(
    own: Shell, file: str, old: str, new: str, expected: tuple[Any, ...]
) -> None:
    edit(own.folder, file, old, new)
    assert expected in changes(plan(own)["last_payment"])


def test_a_view_that_is_gone(own: Shell) -> None:
    (own.folder / "models/last_payment.sql").rename(own.folder / "gone.txt")
    try:
        edit(own.folder, "models/views.yml", ", ref('last_payment')", "")
        edit(own.folder, "models/views.yml", ", last_payment.amount", "")
        planned = plan(own)["last_payment"]
        assert planned["change"] == "removed"
        assert planned["breaks"] == ["fraud.amount"]
        # In a lake that several projects share, another project's views are none of ours.
        edit(own.folder, "dbt_project.yml", "name: shop", "name: other")
        assert list(plan(own)) == ["spending"]
    finally:
        edit(own.folder, "dbt_project.yml", "name: other", "name: shop")
        (own.folder / "gone.txt").rename(own.folder / "models/last_payment.sql")


def test_a_later_clock_is_a_step_and_target_may_be_deleted(own: Shell) -> None:
    found = plan(own, "--now", "2024-03-05T00:00:00Z")
    assert {p["recompute"] for p in found.values()} == {"step"}
    assert {p["change"] for p in found.values()} == {"unchanged"}
    (own.folder / "target/forebay").rename(own.folder / "target/away")
    try:
        edit(own.folder, "models/spending.sql", "'60' day", "'45' day")
        assert [c[0] for c in changes(plan(own)["spending"])] == ["where"]
    finally:
        shutil.rmtree(own.folder / "target/forebay")
        (own.folder / "target/away").rename(own.folder / "target/forebay")


def test_new_rows_are_a_step(own: Shell) -> None:
    commit_rows(open_lake(lake_of(own.folder)), "raw.payments", payments((9,)), mode="append")
    assert {n: p["recompute"] for n, p in plan(own).items()} == {
        "spending": "step", "last_payment": "step"
    }  # fmt: skip
    assert own.run("build", "--select", "spending", "last_payment") == 0, own.err
    assert {p["recompute"] for p in plan(own).values()} == {"nothing"}


def test_a_change_names_the_owners_of_the_services_that_it_touches(own: Shell) -> None:
    edit(own.folder, "models/spending.sql", "'60' day", "'61' day")
    assert own.run("plan") == 0, own.err
    assert "  touches services of: Growth (churn), Risk (fraud)\n" in own.out
    assert own.run("plan", "--json") == 0
    planned = {p["view"]: p for p in json.loads(own.out)["views"]}
    assert planned["spending"]["owners"] == {"churn": "Growth", "fraud": "Risk"}


def test_sections_say_what_breaks_for_whom(own: Shell) -> None:
    edit(own.folder, "models/spending.sql", "as most_60d", "as largest_60d")
    edit(own.folder, "models/views.yml", "ttl: 7 days", "ttl: 2 days")
    assert own.run("plan", "--fail-on", "breaking", "--markdown") == 1, own.err
    assert "**Breaking**\n\n- service fraud (owner Risk) loses feature spending.most_60d" in own.out
    assert "- spending: changed" in own.out and "hits service churn, service fraud" in own.out
    rows = sum(table.num_rows for table in [payments(), payments((9,))])
    assert re.search(
        rf"- spending: full, ({payments().num_rows}|{rows}) rows in [12] files", own.out
    )
    assert own.run("plan", "--fail-on", "breaking") == 1
    assert "\nbreaking:\n  service fraud (owner Risk) loses" in own.out


def test_a_dropped_raw_column_names_all_that_it_reaches(own: Shell) -> None:
    assert own.run("compile") == 0, own.err
    table = load_table(open_lake(lake_of(own.folder)), "raw.payments")
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.rename_column("amount", "amount_eur")
    try:
        assert own.run("plan", "--fail-on", "breaking") == 2
        (line,) = [t for t in own.out.splitlines() if "raw.payments.amount" in t]
        assert "is dropped, or renamed to amount_eur; features: " in line
        assert "services: fraud" in line and "churn" not in line and "owners: Risk" in line
        for feature in ("spending.spent_60d", "spending.most_60d", "last_payment.twice"):
            assert feature in line
        assert "spending.payments_60d" not in line
        assert "error: " in own.err
    finally:
        with table.update_schema(allow_incompatible_changes=True) as update:
            update.rename_column("amount_eur", "amount")


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("spending", "max(amount)", "max(cast(amount as double))",
         "spending: type of feature most_60d: BIGINT -> DOUBLE; read by fraud"),
        ("stg_payments", "select *", "select * replace (length(customer) as customer)",
         "spending: type of entity customer: VARCHAR -> BIGINT; read by fraud, churn"),
    ],
)  # fmt: skip
def test_another_type_breaks_those_who_read_it(
    own: Shell, file: str, old: str, new: str, line: str
) -> None:
    edit(own.folder, f"models/{file}.sql", old, new)
    assert own.run("plan", "--fail-on", "breaking", "--markdown") == 1, own.err
    assert f"**Breaking**\n\n- {line}\n" in own.out


def test_a_view_asked_for_in_another_role_breaks_the_service(own: Shell) -> None:
    role = "{view: last_payment, as: buyer, features: [amount], keys: {customer: buyer_id}}"
    edit(own.folder, "models/views.yml", "last_payment.amount", role)
    assert own.run("plan", "--fail-on", "breaking", "--markdown") == 1, own.err
    assert "last_payment: last_payment in service fraud: removed by its own keys" in own.out
