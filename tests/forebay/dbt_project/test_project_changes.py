"""After an edit `train` makes the set that the project defines, and what goes by the last compile says so."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.forebay.conftest import Shell
from tests.forebay.small import edit, make_project

SPINE = "customer,event_timestamp\na,2024-01-09T00:00:00Z\n"
NEWER = """
  - name: newer
    type: ml
    owner: {name: Risk}
    depends_on: [ref('spending')]
    config: {meta: {feature_service: {features: [spending.spent_60d]}}}
"""


def value(shell: Shell, service: str, feature: str) -> tuple[object, object]:
    """The feature of the spine's only row, and what was compiled anew for it."""
    assert shell.run("train", service, "--spine", "spine.csv", "--json") == 0, shell.err
    said = json.loads(shell.out)
    (row,) = duckdb.execute(f"select {feature} from '{said['out']}'").fetchall()
    return row[0], said["recompiled"]


@pytest.mark.slow
def test_commands_after_an_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)
    root, catalog = shell.folder, shell.folder / "target/forebay/catalog.json"
    (root / "spine.csv").write_text(SPINE)
    assert shell.run("compile") == 0, shell.err
    compiled = catalog.read_text()
    assert value(shell, "churn", "spending__payments_60d") == (4, [])
    assert shell.run("sync") == 2 and "note:" not in shell.err

    edit(root, "models/spending.sql", "count(*)", "count(*) + 100")
    # Another view that cannot be compiled is none of this service's business.
    edit(root, "models/last_payment.sql", "amount * 2", "no_column * 2")
    note = "note: the project has changed since it was compiled: models/"
    both = f"{note}last_payment.sql; models/spending.sql. "
    assert shell.run("sync") == 2 and f"{both}What was built last is synced." in shell.err
    assert value(shell, "churn", "spending__payments_60d") == (104, ["models/spending.sql"])
    assert shell.run("train", "churn", "--spine", "spine.csv") == 0
    assert "compiled anew for this set: models/spending.sql changed since" in shell.out
    assert catalog.read_text() == compiled
    # dbt has read the project by now, so that a later edit that means nothing is told beside them.
    edit(root, "models/stg_payments.sql", "select *", "-- all of it\nselect *")
    assert shell.run("verify") == 2 and f"{both.rstrip('. ')}; models/stg_" in shell.err
    until = ("--until", "2024-01-11T00:00:00Z")
    assert shell.run("advance", *until) == 2 and note in shell.err

    with (root / "models/views.yml").open("a") as file:
        file.write(NEWER.lstrip("\n"))
    # The days are 1, 2, 3 and 8, at ten times as much.
    changed = ["models/spending.sql", "models/views.yml is new"]
    assert value(shell, "newer", "spending__spent_60d") == (140, changed)
    assert shell.run("sync") == 2 and "models/stg_payments.sql" not in shell.err
    assert "no feature service is named 'chrn'" in shell.refused(
        "train", "chrn", "--spine", "spine.csv"
    )
