"""What `init` says of the projects that it makes, and a build of their clock."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tests.forebay.conftest import Shell

CLOCK = "clock: 2013-12-20 12:00:00+00:00 (var forebay_now in dbt_project.yml)"


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.delenv("DBT_PROFILES_DIR", raising=False)
    return Shell(tmp_path, monkeypatch, capsys)


def steps(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  ")]


def test_the_starters_next_steps_name_what_is_there(shell: Shell) -> None:
    assert shell.run("init", "a b") == 0
    typed = steps(shell.out)
    assert typed[0] == ["cd", "a b"]
    for word in (word for step in typed for word in step if word.startswith("data/")):
        assert (shell.folder / "a b" / word).exists()
    assert "clock" not in shell.out


def test_the_flights_say_where_their_clock_stands(shell: Shell) -> None:
    assert shell.run("init", "flights", "--example", "flights") == 0
    assert CLOCK in shell.out.splitlines()
    assert steps(shell.out)[0] == ["cd", "flights"]


@pytest.mark.slow
def test_a_build_says_so_where_that_var_sets_the_clock(shell: Shell) -> None:
    assert shell.run("init", "shop") == 0
    shell.folder = shell.folder / "shop"
    shutil.rmtree(shell.folder / "models")
    shutil.rmtree(shell.folder / "tests")
    settings = shell.folder / "dbt_project.yml"
    text = settings.read_text()
    settings.write_text(text + 'vars: {forebay_now: "2013-12-20 12:00:00+00:00"}\n')
    assert shell.run("build") == 0
    assert CLOCK in shell.out.splitlines()
    settings.write_text(text)
    assert shell.run("build") == 0
    assert "clock:" not in shell.out
