"""What the author wrote in another dialect means the same."""

from __future__ import annotations

import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView

WRITTEN = {
    "duckdb": (
        {"k": "VARCHAR", "ts": "TIMESTAMP WITH TIME ZONE", "x": "INTEGER"},
        "select k, count(*) as n, arg_max(x, ts) as last_x, string_agg(k, ',' order by ts) as ks "
        "from events where ts > current_timestamp - interval '7' day group by k",
    ),
    "trino": (
        {"k": "varchar", "ts": "timestamp(6) with time zone", "x": "integer"},
        "select k, count(*) as n, max_by(x, ts) as last_x, listagg(k, ',') within group (order by ts) "
        "as ks from events where ts > current_timestamp - interval '7' day group by k",
    ),
    "spark": (
        {"k": "string", "ts": "timestamp", "x": "int"},
        "select k, count(*) as n, max_by(x, ts) as last_x, listagg(k, ',') within group (order by ts nulls last) "
        "as ks from events where ts > current_timestamp() - interval '7' day group by k",
    ),
}


@pytest.mark.parametrize("dialect", WRITTEN)
def test_a_view_means_the_same_in_each_dialect(dialect: str) -> None:
    columns, sql = WRITTEN[dialect]
    view = FeatureView("v", sql, ["k"])
    compiled = compile_view(view, [Leaf("events", columns, event_time="ts")], dialect=dialect)
    first = compile_view(
        FeatureView("v", WRITTEN["duckdb"][1], ["k"]),
        [Leaf("events", WRITTEN["duckdb"][0], event_time="ts")],
    )
    assert compiled.point_in_time() == first.point_in_time()
