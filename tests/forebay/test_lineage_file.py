"""lineage.json of a small project: from raw columns through models to services and training sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lineage.project_lineage import load_project_lineage
from tests.forebay.conftest import Shell
from tests.forebay.small import VIEWS, edit, make_project

pytestmark = pytest.mark.slow

_DASHBOARD = """\
  - name: spend_report
    type: dashboard
    owner: {email: bi@example.com}
    depends_on: [ref('spending')]
"""


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    root = make_project(tmp_path / "shop", {"models/views.yml": VIEWS + _DASHBOARD})
    return Shell(root, monkeypatch, capsys)


def test_a_projects_lineage(shop: Shell) -> None:
    assert shop.run("compile") == 0, shop.err
    path = shop.folder / "target/forebay/lineage.json"
    found = load_project_lineage(path)
    assert found.dumps() == path.read_text()
    assert set(found.tables) == {"raw.payments"}
    assert "amount" in found.tables["raw.payments"]
    spending = found.views["spending"].lineage
    codes = {c: sorted(e.code for e in f) for c, f in spending.of_feature("spent_60d").items()}
    assert codes == {
        ("raw.payments", "amount"): ["AGGREGATION"],
        ("raw.payments", "customer"): ["GROUP_BY", "JOIN"],
        ("raw.payments", "paid_at"): ["FILTER"],
    }
    assert set(spending.models) == {"stg_payments"}
    assert set(spending.through["spent_60d"]) == {("stg_payments", "amount")}
    assert ("last_payment", "amount") in found.services["fraud"]
    assert found.owners == {"fraud": "Risk", "churn": "Growth"}
    report = found.consumers["exposure.shop.spend_report"]
    assert (report.type, report.owner, report.reads) == (
        "dashboard",
        "bi@example.com",
        ("spending",),
    )

    before = found.views["last_payment"]
    edit(shop.folder, "models/spending.sql", "sum(amount)", "sum(amount + 1)")
    assert shop.run("compile") == 0, shop.err
    after = load_project_lineage(path)
    assert after.views["last_payment"] == before
    changed = after.views["spending"]
    assert changed.semantic_hash != found.views["spending"].semantic_hash


def test_lineage_on_the_command_line(shop: Shell) -> None:
    assert "nothing is compiled yet" in shop.refused("lineage", "fraud")
    assert shop.run("compile") == 0, shop.err
    assert shop.run("lineage", "spending.spent_60d", "--upstream") == 0
    assert "├─ stg_payments.amount (model)  AGGREGATION" in shop.out
    assert "did you mean 'spending.spent_60d'" in shop.refused("lineage", "spending.spent")
    assert shop.run("lineage", "raw.payments.amount", "--json", "--downstream", "--depth", "1") == 0
    found = json.loads(shop.out)
    assert found["node"] == {"kind": "column", "name": "raw.payments.amount"}
    assert {e["target"]["name"] for e in found["downstream"]} == {
        "last_payment.amount", "last_payment.twice", "stg_payments.amount",
    }  # fmt: skip
    assert "upstream" not in found
    assert shop.run("lineage", "fraud", "--mermaid") == 0
    assert shop.out.startswith("flowchart LR")
