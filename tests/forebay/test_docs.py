"""The documentation keeps step with the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.cli import COMMANDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"## forebay {name}" in (ROOT / "docs" / "commands.md").read_text()


def test_readme_opens_with_the_two_commands() -> None:
    head = "\n".join((ROOT / "README.md").read_text().splitlines()[:25])
    assert "make demo" in head and "make test" in head
    assert "pip install forebay" in head and "forebay init my_features" in head
