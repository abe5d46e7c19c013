"""One view that is not built leaves the others to be stepped, synced and verified, by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from feature_specs.library_errors import MachineError
from forebay.dbt_project.dbt_errors import DbtError, explain_dbt
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
    error = explain_dbt("build", failed(said), [])
    assert str(error) == (
        "model.shop.labels: Compilation Error in model labels (models/labels.sql) point_in_time: no "
        "feature service is named 'x'. Hint: known: a, b"
    )


def test_a_long_error_of_dbt_keeps_its_hint() -> None:
    error = explain_dbt("build", failed("x" * 1000 + ". Hint: do this"), [])
    assert str(error).endswith("x. Hint: do this")


def test_a_full_disk_told_by_dbt(tmp_path: Path) -> None:
    said = f'Runtime Error\n  IO Error: Could not write file "{tmp_path}/x.db": No space left on device'
    error = explain_dbt("build", failed(said), [])
    assert isinstance(error, MachineError) and error.where == f"{tmp_path}/x.db"
    raised = OSError(28, "No space left on device", str(tmp_path / "y"))
    assert isinstance(explain_dbt("build", failed("", raised), []), MachineError)


def test_an_error_of_dbt_without_a_hint_names_the_log() -> None:
    error = explain_dbt(
        "build", failed("Database Error in model a (models/a.sql) no such column"), []
    )
    assert str(error).startswith("model.shop.labels: Database Error in model a")
    assert "logs/dbt.log" in error.hint


@pytest.mark.parametrize(
    ("said", "line", "below"),
    [
        (
            "Compilation Error in model a (models/a.sql)\n  expected token 'end', got '}'\n"
            "    line 4\n      where {{ x }\n",
            "Compilation Error in model a (models/a.sql) expected token 'end', got '}'",
            ["line 4", "  where {{ x }"],
        ),
        (
            "Parsing Error\n  Error reading shop: a.yml - Runtime Error\n    Syntax error near line 2\n"
            "    -----------\n    1  | models: [\n    2  |  a: {\n\n    Raw Error:\n    mapping",
            "Parsing Error Error reading shop: a.yml - Runtime Error Syntax error near line 2",
            ["-----------", "1  | models: [", "2  |  a: {", "Raw Error:", "mapping"],
        ),
        (
            'Runtime Error in model a (models/a.sql)\n  Binder Error: no column "y"\n  \n'
            "  LINE 2: select \x1b[31mx, y\x1b[0m\n                  ^\n",
            'Runtime Error in model a (models/a.sql) Binder Error: no column "y"',
            ["LINE 2: select x, y", "                ^"],
        ),
    ],
)
def test_lines_of_the_text_at_fault_stand_below(said: str, line: str, below: list[str]) -> None:
    error = explain_dbt("build", failed(said), [])
    first, *rest = str(error).splitlines()
    assert first.startswith(f"model.shop.labels: {line}. Hint: ") and first.count("Hint: ") == 1
    assert rest == [f"  {text}" for text in below]
    whole = explain_dbt("parse", SimpleNamespace(exception=ValueError(said), result=None), [])
    assert str(whole).splitlines()[1:] == rest


def test_a_long_excerpt_is_cut() -> None:
    said = "Parsing Error\n" + "\n".join(f"{n}  | x" for n in range(1, 99))
    assert len(str(explain_dbt("build", failed(said), [])).splitlines()) == 21


def test_nodes_that_failed_for_one_reason_are_told_in_one_line() -> None:
    def result(name: str, message: str) -> SimpleNamespace:
        node = SimpleNamespace(unique_id=f"model.shop.{name}")
        return SimpleNamespace(node=node, status="error", message=message)

    reason = "/lake/x.parquet: Iceberg table 'raw.x' cannot be read: gone. Hint: restore it"
    results = [
        result("a", f"Runtime Error in model a (models/a.sql)\n  {reason}"),
        result(
            "b",
            f"Runtime Error in model b (models/b.sql)\n  Invalid Input Error: {reason}\n\n"
            'LINE 3: from "shop"."raw"."x"\n  ^',
        ),
        result("c", "Database Error in model c (models/c.sql)\n  no column y"),
    ]
    error = explain_dbt(
        "build", SimpleNamespace(exception=None, result=SimpleNamespace(results=results)), []
    )
    assert isinstance(error, DbtError) and error.results == results
    assert [str(e) for e in error.errors] == [
        f"model.shop.a, model.shop.b: {reason}",
        "model.shop.c: Database Error in model c (models/c.sql) no column y. Hint: fix the file "
        "that it names; logs/dbt.log has the whole story",
    ]
