"""One view that is not built leaves the others to be stepped, synced and verified, by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from feature_specs.library_errors import MachineError
from forebay.project import _dbt_error
from tests.forebay.conftest import Shell


@pytest.mark.slow
def test_commands_on_a_project_of_which_one_view_is_built(shop_shell: Shell) -> None:
    shell = shop_shell
    now = ("--now", "2026-10-20T00:00:00+00:00")
    assert shell.run("build", "--select", "card_activity", *now) == 0, shell.err
    assert "\x1b[" not in shell.out + shell.err
    words = ("advance", "--until", "2026-10-21T00:00:00+00:00", "--steps", "2", "--check", "--json")
    assert shell.run(*words) == 2
    done = json.loads(shell.out)
    steps = [d for d in done if "error" not in d]
    assert [(s["view"], s["differing"]) for s in steps] == [("card_activity", 0)] * 2
    assert steps[0]["touched"] > 0
    assert sorted(d["view"] for d in done if "error" in d) == ["customer_profile", "last_payment"]
    errors = [line for line in shell.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2 and all("is not built yet" in line for line in errors)
    assert shell.run("advance", "card_activity", "--until", "2026-10-22T00:00:00+00:00") == 0
    assert shell.run("sync", "--json") == 2
    assert {r["view"]: r["action"] for r in json.loads(shell.out)} == {
        "card_activity": "replaced",
        "customer_profile": "failed",
        "last_payment": "failed",
    }
    assert shell.run("verify", "card_activity", "--now", "2026-10-22T00:00:00+00:00") == 0
    assert shell.run("verify", "--now", "2026-10-22T00:00:00+00:00") == 2


def failed(message: str, exception: BaseException | None = None) -> SimpleNamespace:
    node = SimpleNamespace(unique_id="model.shop.labels")
    result = SimpleNamespace(node=node, status="error", message=message)
    return SimpleNamespace(exception=exception, result=SimpleNamespace(results=[result]))


def test_an_error_told_by_dbt_has_its_own_hint_alone() -> None:
    said = (
        "Compilation Error in model labels (models/labels.sql)\n  \x1b[31mpoint_in_time: no feature "
        "service is named 'x'. Hint: known: a, b\n\n  > in macro point_in_time (macros/forebay.sql)"
        "\n  > called by model labels (models/labels.sql)"
    )
    error = _dbt_error("build", failed(said), [])
    assert str(error) == (
        "model.shop.labels: Compilation Error in model labels (models/labels.sql) point_in_time: no "
        "feature service is named 'x'. Hint: known: a, b"
    )


def test_a_long_error_of_dbt_keeps_its_hint() -> None:
    error = _dbt_error("build", failed("x" * 1000 + ". Hint: do this"), [])
    assert str(error).endswith("x. Hint: do this")


def test_a_full_disk_told_by_dbt(tmp_path: Path) -> None:
    said = f'Runtime Error\n  IO Error: Could not write file "{tmp_path}/x.db": No space left on device'
    error = _dbt_error("build", failed(said), [])
    assert isinstance(error, MachineError) and error.where == f"{tmp_path}/x.db"
    raised = OSError(28, "No space left on device", str(tmp_path / "y"))
    assert isinstance(_dbt_error("build", failed("", raised), []), MachineError)


def test_an_error_of_dbt_without_a_hint_names_the_log() -> None:
    error = _dbt_error(
        "build", failed("Database Error in model a (models/a.sql) no such column"), []
    )
    assert str(error).startswith("model.shop.labels: Database Error in model a")
    assert "logs/dbt.log" in error.mend
