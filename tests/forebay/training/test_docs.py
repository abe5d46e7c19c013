"""docs/python.md: every example in it runs, and prints what it shows."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3] / "docs" / "python.md"


def test_the_page_s_examples_run(shop_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop_shell.folder)
    text = PAGE.read_text().replace("```", "")
    page = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(page.examples) > 30
    told: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(page, out=told.append)
    page.globs.clear()
    assert results.failed == 0, "".join(told)
