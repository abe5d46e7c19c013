"""All that does not compile is said at once, and a question about another view is answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from forebay.options import SeveralValues
from tests.forebay.conftest import Shell
from tests.forebay.small import VIEWS, edit, make_project

MORE = """\
  - name: third
    config:
      materialized: feature_view
      meta: {feature_view: {entities: [customer]}}
exposures:
"""


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    files = {
        "models/views.yml": VIEWS.replace("exposures:\n", MORE),
        "models/third.sql": "select customer, count(*) as n from {{ ref('stg_payments') }} group by 1\n",
    }
    return Shell(make_project(tmp_path / "shop", files), monkeypatch, capsys)


@pytest.mark.slow
def test_every_broken_view_is_told_and_the_others_answer(shop: Shell) -> None:
    edit(shop.folder, "models/spending.sql", "sum(amount)", "sum(amuont)")
    edit(shop.folder, "models/last_payment.sql", "amount * 2", "{{ no_such_macro() }}")
    assert shop.run("compile") == 2
    lines = [line for line in shop.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 2 and all("Hint: " in line for line in lines), shop.err
    text = "\n".join(lines)
    assert "models/spending.sql:1" in text and "amuont" in text
    assert "models/last_payment.sql" in text and "no_such_macro" in text
    assert not (shop.folder / "target/forebay/catalog.json").exists()
    assert shop.run("preview", "third", "--key", "customer=a", "--json") == 0, shop.err
    assert json.loads(shop.out)["features"] == {"n": 4}
    assert shop.run("explain", "third") == 0
    assert "amuont" in shop.refused("explain", "spending")
    assert "no_such_macro" in shop.refused("explain", "last_payment")
    assert "did you mean 'third'" in shop.refused("explain", "thrid")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--select", "a", "b"], ["a", "b"]),
        (["--select", "a", "--select", "b"], ["a", "b"]),
        (["--select", "a", "b", "--flag", "--select", "c"], ["a", "b", "c"]),
        (["--select=a", "b"], ["a", "b"]),
        (["--wait", "--select", "+a", "tag:b"], ["+a", "tag:b"]),
        (["--wait", "3", "--select", "a"], ["a"]),
        (["--flag"], []),
    ],
)
def test_select_takes_one_value_or_several(words: Sequence[str], expected: list[str]) -> None:
    from forebay.options import wait_option

    @click.command(cls=SeveralValues, several=("--select",))
    @click.option("--select", multiple=True)
    @click.option("--flag", is_flag=True)
    @wait_option
    def command(select: tuple[str, ...], flag: bool, wait: float | None) -> None:
        click.echo(json.dumps([list(select), flag, wait == 3]))

    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == [expected, "--flag" in words, "3" in words]


def test_a_word_too_many_is_still_refused() -> None:
    @click.command(cls=SeveralValues, several=("--select",))
    @click.option("--select", multiple=True)
    @click.option("--flag", is_flag=True)
    def command(select: tuple[str, ...], flag: bool) -> None:
        """Nothing to do."""

    assert CliRunner().invoke(command, ["--flag", "a"]).exit_code == 2
