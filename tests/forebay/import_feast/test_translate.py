"""What becomes of each object of a Feast registry, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from forebay.import_feast.registry import (
    FeastSource,
    Field,
    OnDemandView,
    Projection,
    Registry,
    Service,
    View,
    parse_registry,
)
from forebay.import_feast.translate import plain_name, translate
from forebay.import_feast.write_texts import write_texts

SOURCE = FeastSource("trips", "BATCH_FILE", "seen", "created", path="trips.parquet")
VIEW = View(
    "stats",
    (Field("driver_id", "INT64"),),
    (Field("score", "DOUBLE"), Field("trips", "INT64")),
    SOURCE,
    ttl_s=7200.0,
    online=True,
)


def registry(
    *views: View, services: tuple[Service, ...] = (), on_demand: tuple[OnDemandView, ...] = ()
) -> Registry:
    return Registry("0.67.0", "rides", "duckdb", views, on_demand, services, (), ())


def written(made: Registry) -> dict[str, Any]:
    """The files' content: SQL as text, YAML read."""
    files = write_texts(translate(made), made.feast)
    return {n: yaml.safe_load(t) if n.endswith(".yml") else t for n, t in files.items()}


def told(made: Registry) -> list[str]:
    return [f"{left.kind} {left.name}: {left.what}" for left in translate(made).left]


def test_a_view() -> None:
    files = written(registry(replace(VIEW, owner="ops@example.com", tags={"tier": "1"})))
    assert files["stats.sql"] == (
        "select\n    driver_id,\n    seen,\n    created,\n    score,\n    trips\n"
        "from {{ source('rides', 'trips') }}\n"
    )
    (view,) = files["features.yml"]["models"]
    assert view["config"] == {
        "materialized": "feature_view",
        "tags": ["feature_view"],
        "event_time": "seen",
        "meta": {
            "feature_view": {
                "entities": ["driver_id"],
                "tie_break": ["created"],
                "ttl": "2 hours",
                "owner": "ops@example.com",
            },
            "feast": {"tier": "1"},
        },
    }
    (source,) = files["sources.yml"]["sources"]
    assert (source["name"], source["schema"]) == ("rides", "rides")
    assert [t["name"] for t in source["tables"]] == ["trips"]
    assert source["tables"][0]["config"] == {"event_time": "seen"}


def test_a_view_without_created_timestamp_or_ttl() -> None:
    source = replace(SOURCE, created="")
    files = written(registry(replace(VIEW, source=source, ttl_s=None)))
    options = files["features.yml"]["models"][0]["config"]["meta"]["feature_view"]
    assert options == {"entities": ["driver_id"]}
    assert "created" not in files["stats.sql"]


def test_field_mapping_and_names_that_sql_would_misread() -> None:
    source = replace(SOURCE, mapping={"t": "seen", "select": "group", "ID": "driver_id"})
    features = (Field("group", "INT64"), Field("a b", "INT64"), Field("Score", "INT64"))
    files = written(registry(replace(VIEW, source=source, features=features)))
    assert files["stats.sql"].splitlines()[1:-1] == [
        "    ID as driver_id,",
        "    t as seen,",
        "    created,",
        '    "select" as "group",',
        '    "a b",',
        "    Score",
    ]
    assert files["sources.yml"]["sources"][0]["tables"][0]["config"] == {"event_time": "t"}


def test_a_column_is_selected_once() -> None:
    features = (Field("created", "UNIX_TIMESTAMP"), Field("driver_id", "INT64"), *VIEW.features)
    files = written(registry(replace(VIEW, features=features)))
    assert files["stats.sql"].count("created") == files["stats.sql"].count("driver_id") == 1


def test_jinja_in_descriptions_is_text() -> None:
    source = replace(SOURCE, description="{% set x %}")
    view = replace(VIEW, description="{{ ref('x') }} {# no #}", source=source)
    text = write_texts(translate(registry(view)), "0.67.0")["features.yml"]
    assert not any(brace in text for brace in ("{{", "{%", "{#", "}}"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keys": ()}, "no entity"),
        ({"source": None}, "no batch source"),
        ({"source": replace(SOURCE, event_time="")}, "no timestamp_field"),
        ({"keys": (Field("driver_id", "DOUBLE"),)}, "of type DOUBLE"),
        ({"keys": (Field("driver_id", "INT64_LIST"),)}, "of type INT64_LIST"),
        ({"features": (Field("Score", "INT64"), Field("score", "INT64"))}, "there twice"),
        ({"features": (Field("FB_x", "INT64"),)}, "forebay's own"),
        ({"features": (Field("{{x}}", "INT64"),)}, "Jinja"),
        ({"ttl_s": 1.5}, "whole seconds"),
        ({"made_by": "its rows are made by a transformation (spark)"}, "transformation (spark)"),
    ],
)
def test_a_view_that_is_not_carried_over(changes: dict[str, Any], reason: str) -> None:
    service = Service("s", (Projection("stats", "stats", ("score",), {}),))
    made = registry(replace(VIEW, **changes), services=(service,))
    assert translate(made).models == [] and translate(made).exposures == []
    lines = told(made)
    assert reason in lines[0]
    assert lines[1:] == [
        "feature service s: lacks score: feature view stats is not carried over",
        "feature service s: no feature of it is carried over",
    ]
    assert not any(name.endswith(".sql") for name in write_texts(translate(made), "x"))


def test_a_service() -> None:
    service = Service("s", (Projection("stats", "stats", ("trips",), {}),), owner="Ann")
    files = written(registry(VIEW, services=(service,)))
    assert files["services.yml"]["exposures"] == [
        {
            "name": "s",
            "type": "ml",
            "owner": {"name": "Ann"},
            "depends_on": ["ref('stats')"],
            "config": {"meta": {"feature_service": {"features": ["stats.trips"]}}},
        }
    ]


def test_a_service_keeps_its_name_where_dbt_takes_it() -> None:
    feature = (Projection("stats", "stats", ("trips",), {}),)
    services = tuple(Service(name, feature) for name in ("v-1", "v 1", "é"))
    made = translate(registry(VIEW, services=services))
    assert [e.name for e in made.exposures] == ["v-1", "v_1", "unnamed"]
    assert [item.name for item in made.left] == ["v 1", "é"]


def test_a_renamed_view_with_another_key_is_a_view_of_its_own() -> None:
    origin = Projection("stats", "origin", ("score",), {"driver_id": "origin_id"})
    services = (Service("s", (origin,)), Service("t", (origin,)))
    files = written(registry(VIEW, services=services))
    assert "driver_id as origin_id," in files["origin.sql"]
    views = {
        v["name"]: v["config"]["meta"]["feature_view"] for v in files["features.yml"]["models"]
    }
    assert views["origin"] == {**views["stats"], "entities": ["origin_id"]}
    listed = [e["config"]["meta"]["feature_service"] for e in files["services.yml"]["exposures"]]
    assert listed == [{"features": ["origin.score"]}] * 2


def test_two_renamings_of_one_name_are_two_views() -> None:
    one = Projection("stats", "origin", ("score",), {"driver_id": "origin_id"})
    other = replace(one, keys={"driver_id": "start_id"})
    files = written(registry(VIEW, services=(Service("s", (one,)), Service("t", (other,)))))
    assert "driver_id as origin_id," in files["origin.sql"]
    assert "driver_id as start_id," in files["origin_2.sql"]


def test_python_code_is_named_with_what_to_write() -> None:
    sent = (Field("bonus", "DOUBLE"),)
    view = OnDemandView("totals", "pandas", (Field("total", "DOUBLE"),), ("stats",), sent)
    service = Service(
        "s",
        (
            Projection("stats", "stats", ("score",), {}),
            Projection("totals", "totals", ("total",), {}),
        ),
    )
    made = registry(VIEW, services=(service,), on_demand=(view,))
    (left, lacks) = translate(made).left
    assert left.what == "its transformation is pandas code, for total"
    assert "{{ request('bonus', 'double') }}" in left.hint and "of stats" in left.hint
    assert lacks.what == "lacks total: on-demand feature view totals is not carried over"


def test_names_are_made_plain_and_kept_apart() -> None:
    assert plain_name("a-b") == "a_b" and plain_name("é") == "unnamed"
    second = replace(VIEW, name="STATS", source=replace(SOURCE, name="x/Trips.parquet", path="y"))
    made = translate(registry(VIEW, second, replace(VIEW, name="a-b")))
    assert [m.name for m in made.models] == ["stats", "STATS_2", "a_b"]
    assert [t.name for t in made.tables] == ["trips", "trips_2"]
    assert [f"{item.name}: {item.what}" for item in made.left] == [
        "STATS: is named STATS_2: names are plain and differ in more than case",
        "a-b: is named a_b: names are plain and differ in more than case",
    ]


def test_a_query_is_to_be_loaded() -> None:
    source = replace(SOURCE, path="", query="select 1", kind="BATCH_BIGQUERY")
    made = translate(registry(replace(VIEW, source=source)))
    assert len(made.models) == 1
    assert [item.hint for item in made.left] == ["load what it gives into rides.trips"]


def test_other_objects_are_named() -> None:
    raw = {
        "data_sources": [{"name": "p", "type": "PUSH_SOURCE", "project": "rides"}],
        "permissions": [{"spec": {"name": "read", "project": "rides"}}],
        "stream_feature_views": [
            {
                "spec": {
                    "name": "v",
                    "project": "rides",
                    "user_defined_function": {},
                    "mode": "spark",
                    "aggregations": [{}],
                }
            },
            {"spec": {"name": "other", "project": "another"}},
        ],
    }
    made = parse_registry({"feast": "0.67.0", "project": "rides", "registry": raw})
    assert [line.partition(":")[0] for line in told(made)] == [
        "feature view v",
        "push source p",
        "permission read",
    ]
