"""dbt's deprecation_date reaches the catalogue, and whoever trains on the view is told."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

import forebay
from feature_specs.catalog import load_catalog
from feature_specs.deprecation import instant_of
from tests.forebay.conftest import Shell
from tests.forebay.small import VIEWS, make_project

pytestmark = pytest.mark.slow

MARKED = VIEWS.replace(
    "  - name: spending\n", "  - name: spending\n    deprecation_date: 2024-06-01\n"
)
SPINE = {"customer": ["a"], "event_timestamp": [datetime(2024, 1, 9, tzinfo=UTC)]}
TOLD = "view spending is deprecated as of 2024-06-01"


def test_a_deprecated_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(
        make_project(tmp_path / "shop", {"models/views.yml": MARKED}), monkeypatch, capsys
    )
    assert shell.run("compile") == 0, shell.err
    catalog = load_catalog(shell.folder / "target/forebay/catalog.json")
    assert instant_of(catalog.views["spending"].deprecated) == datetime(2024, 6, 1, tzinfo=UTC)
    assert catalog.views["last_payment"].deprecated == ""
    spine = "select 'a' as customer, timestamptz '2024-01-09 00:00+00' as event_timestamp"
    assert shell.run("train", "churn", "--spine", spine) == 0, shell.err
    assert TOLD in shell.out + shell.err
    with forebay.open(shell.folder) as project, pytest.warns(FutureWarning, match=TOLD):
        assert project.training_set("churn", SPINE).deprecated != ()

    (shell.folder / "models/views.yml").write_text(VIEWS)
    assert shell.run("compile") == 0, shell.err
    assert shell.run("train", "churn", "--spine", spine) == 0, shell.err
    assert "is deprecated" not in shell.out + shell.err
    with forebay.open(shell.folder) as project, warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        assert project.training_set("churn", SPINE).deprecated == ()
