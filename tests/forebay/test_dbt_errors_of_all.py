"""Whatever dbt, met inside, has against a project, every command says as an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cli import COMMANDS
from tests.forebay.conftest import Shell
from tests.forebay.small import make_project, run_here

#: What is typed of each command that has dbt read the project. The others go by what was compiled,
#: or by the lake alone, or make a project.
READS = {
    "plan": (),
    "compile": (),
    "explain": ("spending",),
    "preview": ("spending", "--key", "customer=a"),
    "build": (),
    "train": ("fraud", "--spine", "spine.csv", "--timestamp", "at", "--out", "out.parquet"),
    "sql": ("fraud", "--spine", "raw.payments"),
    "docs": (),
}
FAULTS = {
    "a model that is not there": (
        "models/spending.sql",
        "select customer, count(*) as n from {{ ref('nope') }} group by customer\n",
        "nope",
    ),
    "Jinja that does not end": ("models/spending.sql", "select {{ ref('stg_payments' }}\n", "spending"),
    "YAML that is none": ("models/views.yml", "models: [{name: spending\n", "views.yml"),
    "a key of the wrong kind": ("models/views.yml", "models: {name: spending}\n", "views.yml"),
}  # fmt: skip


def test_they_are_commands() -> None:
    assert set(READS) <= set(COMMANDS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was compiled while it was whole."""
    root = make_project(tmp_path_factory.mktemp("faulty") / "shop")
    (root / "spine.csv").write_text("customer,at\na,2024-01-03 12:00:00Z\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_here("compile")
    return root


@pytest.fixture(params=list(FAULTS))
def fault(request: pytest.FixtureRequest, project: Path) -> Iterator[str]:
    """What the error has to name."""
    file, text, named = FAULTS[request.param]
    before = (project / file).read_text()
    (project / file).write_text(text)
    yield named
    (project / file).write_text(before)


@pytest.mark.slow
@pytest.mark.parametrize("command", READS)
def test_dbt_is_told_as_ours(
    project: Path,
    fault: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = Shell(project, monkeypatch, capsys)
    line = shell.refused(command, *READS[command])
    assert fault in line, line
    said = shell.out + shell.err
    assert "Encountered an error" not in said and "Traceback" not in said, said
    assert "dbt.log" not in line or "whole story" in line
