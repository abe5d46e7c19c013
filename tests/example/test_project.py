"""The example project under dbt alone: it parses uncompiled, and follows what is compiled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from feature_specs.leaf import Leaf

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PARTS = ("dbt_project.yml", "models", "macros", "profiles", "tests/dbt")
VIEWS = (
    "aircraft_last_flight",
    "aircraft_profile",
    "carrier_arrivals",
    "origin_departures",
    "origin_weather",
    "route_history",
)
GENERATED = """
{{% macro forebay_compiled() %}}{{% endmacro %}}
{{% macro forebay_point_in_time(spine, service, timestamp=none, lag=none) %}}
select * from {{{{ spine }}}} cross join {{{{ ref('{view}') }}}}
{{% endmacro %}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for part in PARTS:
        source, copy = ROOT / part, tmp_path / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "profiles"))
    return tmp_path


def dbt(*arguments: str) -> Any:
    return dbtRunner().invoke([*arguments, "--quiet"])


def manifest(project: Path) -> dict[str, Any]:
    result = dbt("parse")
    assert result.success, result.exception
    parsed: dict[str, Any] = json.loads((project / "target" / "manifest.json").read_text())
    return parsed


def upstream(project: Path) -> set[str]:
    node = manifest(project)["nodes"]["model.flights.arrival_delay_v1"]
    return {name.rpartition(".")[2] for name in node["depends_on"]["nodes"]}


def generate(project: Path, view: str) -> None:
    folder = project / "target" / "forebay" / "macros"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "forebay_point_in_time.sql").write_text(GENERATED.format(view=view))


def test_it_parses_before_anything_is_compiled(project: Path) -> None:
    assert upstream(project) == {"scheduled_flights"}
    # What dbt has saved knows nothing of macros that did not exist, so the compiler drops it once.
    (project / "target" / "partial_parse.msgpack").unlink()
    generate(project, "origin_departures")
    assert upstream(project) == {"scheduled_flights", "origin_departures"}
    # From here on dbt sees for itself that the generated macros change, or go.
    generate(project, "route_history")
    assert upstream(project) == {"scheduled_flights", "route_history"}
    shutil.rmtree(project / "target" / "forebay")
    assert upstream(project) == {"scheduled_flights"}


def test_a_build_of_what_is_not_compiled_says_what_to_run(project: Path) -> None:
    result = dbt("build", "--select", "stg_planes")
    assert not result.success
    assert "target/forebay is missing: run `forebay compile`" in str(result.exception)
    assert not (project / "lake").exists()


def test_views_are_declared_whole(project: Path) -> None:
    nodes = manifest(project)["nodes"].values()
    views = {n["name"]: n for n in nodes if n["config"]["materialized"] == "feature_view"}
    assert sorted(views) == list(VIEWS)
    for view in views.values():
        assert view["config"]["contract"]["enforced"]
        assert view["config"]["tags"] == ["feature_view"]
        assert view["group"] == "flight_operations" and view["access"] == "public"
        declared = view["config"]["meta"]["feature_view"]
        assert set(declared["entities"]) <= set(view["columns"])
        assert ("ttl" in declared) == (view["config"].get("event_time") is not None)
        for column in view["columns"].values():
            assert column["description"] and column["data_type"]


def test_the_service_names_features_that_exist(project: Path) -> None:
    parsed = manifest(project)
    exposure = parsed["exposures"]["exposure.flights.arrival_delay_v1"]
    named = exposure["config"]["meta"]["feature_service"]["features"]
    assert {name.partition(".")[0] for name in named} == set(VIEWS)
    for name in named:
        view, _, feature = name.partition(".")
        columns = parsed["nodes"][f"model.flights.{view}"]["columns"]
        assert feature == "*" or feature in columns


def test_every_source_has_a_role_that_its_columns_bear_out(project: Path) -> None:
    sources = manifest(project)["sources"].values()
    assert len(sources) == 7
    for source in sources:
        config, meta = source["config"], source["config"]["meta"]
        leaf = Leaf(
            source["name"],
            {name: column["data_type"] for name, column in source["columns"].items()},
            event_time=config.get("event_time"),
            loaded_at=config.get("loaded_at_field"),
            static=meta.get("time") == "static",
            known_later=meta.get("known_later", {}),
        )
        assert leaf.role is not None
