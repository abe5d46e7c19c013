"""What has not changed is not compiled again, and what has changed always is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import forebay.compilation.compile_parts
from feature_specs.compile import CompiledView, compile_view
from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from tests.forebay.conftest import Shell

pytestmark = pytest.mark.slow

VIEWS = {
    "aircraft_last_flight", "aircraft_profile", "carrier_arrivals", "origin_departures",
    "origin_weather", "route_history",
}  # fmt: skip


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the views compiled since they were last asked for."""
    names: list[str] = []

    def watched(view: object, leaves: object) -> CompiledView:
        found = compile_view(view, leaves)  # type: ignore[arg-type]
        names.append(found.name)
        return found

    monkeypatch.setattr(forebay.compilation.compile_parts, "compile_view", watched)
    return names


def written(folder: Path) -> Mapping[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "compiled" not in path.parts
    }


def compile_again(shell: Shell, compiled: list[str]) -> set[str]:
    """The views that another compilation compiled."""
    compiled.clear()
    compile_project(Project(shell.folder))
    return set(compiled)


def test_only_what_has_changed_is_compiled(broken: Shell, compiled: list[str]) -> None:
    assert compile_again(broken, compiled) == VIEWS
    folder = broken.folder / "target" / "forebay"
    before = written(folder)
    assert compile_again(broken, compiled) == set()
    assert written(folder) == before

    # A model under a view: the view over it, and the service that reads the view, so all of that.
    staging = broken.folder / "models/staging/stg_weather.sql"
    staging.write_text(staging.read_text() + "\nwhere true\n")
    assert "origin_weather" in compile_again(broken, compiled)
    after = written(folder)
    assert (
        after["sql/duckdb/origin_weather/create.sql"]
        != before["sql/duckdb/origin_weather/create.sql"]
    )

    # A role of a leaf.
    sources = broken.folder / "models/sources.yml"
    text = sources.read_text()
    sources.write_text(text.replace("time: static", "time: static\n            rows_per_key: 1"))
    assert "aircraft_profile" in compile_again(broken, compiled)

    # All as if it were compiled from nothing.
    kept = written(folder)
    shutil.rmtree(folder / "compiled")
    assert compile_again(broken, compiled) == VIEWS
    assert written(folder) == kept


def test_a_spoilt_cache_is_compiled_anew(broken: Shell, compiled: list[str]) -> None:
    compile_again(broken, compiled)
    folder = broken.folder / "target" / "forebay"
    before = written(folder)
    cut = folder / "compiled" / "views" / "route_history.json"
    cut.write_text(cut.read_text()[:200])
    statement = folder / "sql" / "duckdb" / "carrier_arrivals" / "as_of.sql"
    statement.write_text("select 1")
    assert compile_again(broken, compiled) == {"route_history"}
    assert written(folder) == before


def test_a_dry_run_keeps_nothing(broken: Shell, compiled: list[str]) -> None:
    compile_project(Project(broken.folder), write=False)
    assert set(compiled) == VIEWS
    assert not (broken.folder / "target" / "forebay" / "compiled").exists()
