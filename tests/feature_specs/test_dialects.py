"""What the author wrote in another dialect means the same."""

from __future__ import annotations

import pytest

from feature_specs.compile import compile_view
from feature_specs.errors import CompileError
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


#: Whether PostgreSQL's and Trino's documented types make a division one of integers.
DIVISIONS = {
    ("postgres", "extract(day from max(ts)) / 2"): False,
    ("postgres", "date_part('hour', max(ts)) / 5"): False,
    ("postgres", "sum(b) / 2"): False,
    ("postgres", "sum(x) / 2"): True,
    ("postgres", "count(*) / 2"): True,
    ("postgres", "max(x + 1) / 2"): True,
    ("postgres", "sum(case when x > 1 then 1 else 0 end) / 2"): True,
    ("postgres", "avg(x) / 2"): False,
    ("postgres", "count(*) filter (where x > 1) / count(*)"): True,
    ("postgres", "sum(x) / nullif(count(*), 0)"): True,
    ("trino", "sum(b) / 2"): True,
    ("trino", "max(extract(day from ts)) / 2"): True,
}


@pytest.mark.parametrize(("dialect", "division"), DIVISIONS)
def test_a_division(dialect: str, division: str) -> None:
    columns = {"k": "varchar", "ts": "timestamp with time zone", "x": "integer", "b": "bigint"}
    leaf = Leaf("events", columns, event_time="ts")
    view = FeatureView("v", f"select k, {division} as n from events group by k", ["k"])
    sql = compile_view(view, [leaf], dialect=dialect).as_of()
    assert ("//" in sql) == DIVISIONS[dialect, division]


@pytest.mark.parametrize("item", ["max(sign(f)) / 2", "sum(f::numeric)"])
def test_what_is_another_type_in_postgres_is_refused(item: str) -> None:
    columns = {"k": "varchar", "ts": "timestamp with time zone", "f": "double precision"}
    leaf = Leaf("events", columns, event_time="ts")
    view = FeatureView("v", f"select k, {item} as n from events group by k", ["k"])
    with pytest.raises(CompileError, match="in postgres"):
        compile_view(view, [leaf], dialect="postgres")
