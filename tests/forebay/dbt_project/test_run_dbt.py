"""dbt as a program of its own: builds as in this process, and what a dbt 2 is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from forebay.dbt_project.run_dbt import VARIABLE, dbt_version, read_manifest_file
from tests.forebay.conftest import Shell
from tests.forebay.small import make_project

DBT = Path(sys.executable).with_name("dbt")


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    return Shell(make_project(tmp_path / "shop"), monkeypatch, capsys)


@pytest.mark.slow
def test_a_project_is_built_by_a_program(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(DBT))
    assert shop.run("build") == 0, shop.out + shop.err
    assert "spending: full 2 upserts" in shop.out


@pytest.mark.slow
def test_a_dbt_of_version_2_is_told_that_it_cannot_build(
    shop: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "dbt2"  # says that it is one: a real one is in no package registry
    program.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo "dbt 2.0.8" && exit\nexec {DBT} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(program))
    line = shop.refused("build")
    assert "dbt 2 has no Python plugins, by which feature tables are committed on DuckDB" in line
    assert "pip install 'dbt-core<2'" in line


def test_a_program_that_is_no_dbt_is_named(tmp_path: Path) -> None:
    with pytest.raises(ForebayError, match="it does not run: No such file") as raised:
        dbt_version(str(tmp_path / "none"))
    assert VARIABLE in raised.value.hint
    with pytest.raises(ForebayError, match="it says no version"):
        dbt_version("/bin/true")


def test_a_manifest_of_a_later_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    node = {"name": "a", "config": {"materialized": "table"}, "new_in_v20": {"x": 1}}
    parts = {"sources": {}, "exposures": {}, "macros": {}, "metadata": {"project_name": "shop"}}
    path.write_text(json.dumps({**parts, "nodes": {"model.shop.a": node}}))
    found = read_manifest_file(path)
    (read,) = found.nodes.values()
    assert read.config.get("materialized") == "table" and read.to_dict(omit_none=False) == node
    assert found.groups == {} and read.compiled_code is None
    path.write_text(json.dumps({"nodes": {}}))
    with pytest.raises(ForebayError, match="a manifest without metadata, sources, exposures"):
        read_manifest_file(path)
