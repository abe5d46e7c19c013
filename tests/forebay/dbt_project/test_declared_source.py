"""Local times of a table whose source says in which zone they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from forebay.dbt_project.declared_source import declared_sources
from forebay.dbt_project.project import Project
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import PROFILES, PROJECT

SOURCES = {
    "by its names": "{name: shop, tables: [{name: sales, meta: {timezone: Asia/Tokyo}}]}",
    "by schema and identifier": "{name: s, schema: shop, tables: [{name: x, identifier: sales, "
    "config: {meta: {timezone: Asia/Tokyo}}}]}",
    "by iceberg_table": "{name: s, tables: [{name: x, meta: {iceberg_table: shop.sales, "
    "timezone: Asia/Tokyo}}]}",
    "for all tables": "{name: shop, meta: {timezone: Asia/Tokyo}, tables: [{name: sales}]}",
}


def project(folder: Path, source: str) -> Project:
    (folder / "models" / "deep").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILES)
    (folder / "models" / "broken.yml").write_text("sources: [\n")
    (folder / "models" / "deep" / "sources.yaml").write_text(f"sources:\n  - {source}\n")
    return Project(folder)


@pytest.mark.parametrize("how", SOURCES)
def test_a_source_is_found(tmp_path: Path, how: str) -> None:
    found = project(tmp_path, SOURCES[how])
    file = tmp_path / "models" / "deep" / "sources.yaml"
    (source,) = declared_sources(found, "shop.sales")
    assert (source.path, source.timezone) == (file, "Asia/Tokyo")
    assert not list(declared_sources(found, "shop.other"))


def test_local_times_are_kept_and_said_or_refused_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, SOURCES["by its names"])
    (tmp_path / "a.csv").write_text("at\n2024-01-01 12:00:00\n")
    shell = Shell(tmp_path, monkeypatch, capsys)
    line = shell.refused("ingest", "shop.others", "a.csv")
    assert "the times of 'at' have no time zone" in line and "--types 'at timestamp'" in line
    assert shell.run("ingest", "shop.sales", "a.csv") == 0
    assert "local times: Asia/Tokyo, as " in shell.out and "sources.yaml declares" in shell.out
    folder = tmp_path / "lake"
    lake = open_lake(
        {
            "name": "lake",
            "uri": f"sqlite:///{folder}/catalog.db",
            "warehouse": f"{folder}/warehouse",
        }
    )
    rows = load_table(lake, "shop.sales").scan().to_arrow().to_pylist()
    assert rows == [{"at": datetime(2024, 1, 1, 12)}]
