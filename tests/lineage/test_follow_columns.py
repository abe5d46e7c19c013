"""Which leaf columns reach a feature, and how, construct by construct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Changelog, Leaf
from feature_specs.view import FeatureView
from lineage.effects import Effects
from lineage.follow_columns import follow_columns
from lineage.view_lineage import ViewLineage, load_lineage

TZ = "TIMESTAMP WITH TIME ZONE"
LEAVES = (
    Leaf("events", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER", "y": "INTEGER", "S": "VARCHAR",
                    "xs": "INTEGER[]"}, event_time="ts"),
    Leaf("late", {"k": "VARCHAR", "ts": TZ, "at": TZ, "x": "INTEGER"}, event_time="ts",
         loaded_at="at"),
    Leaf("versions", {"k": "VARCHAR", "plan": "VARCHAR", "since": TZ, "until": TZ},
         valid_from="since", valid_to="until"),
    Leaf("changes", {"id": "VARCHAR", "ts": TZ, "n": "INTEGER", "gone": "BOOLEAN"},
         event_time="ts", changelog=Changelog(("id",), "gone")),
    Leaf("trips", {"k": "VARCHAR", "ts": TZ, "delay": "INTEGER", "ended": TZ}, event_time="ts",
         known_later={"delay": "ended"}),
    Leaf("dims", {"k": "VARCHAR", "size": "INTEGER"}, static=True),
)  # fmt: skip


def trace(sql: str, entities: tuple[str, ...] = ("k",), **options: Any) -> ViewLineage:
    view = FeatureView("v", sql, entities, **options)
    return follow_columns(compile_view(view, LEAVES).draft)


def plain(effects: Effects) -> dict[str, str]:
    """``leaf.column`` to its effects, as words; what only settles ties is left out."""
    words = {
        ".".join(column): " ".join(sorted(e.code for e in found if not e.tie))
        for column, found in effects.items()
    }
    return {column: word for column, word in words.items() if word}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("sum(x)", {"x": "AGGREGATION"}),
        ("max(x + y)", {"x": "AGGREGATION", "y": "AGGREGATION"}),
        ("count(x)", {"x": "AGGREGATION+masking"}),
        ("count(distinct x)", {"x": "AGGREGATION+masking"}),
        ("count(*)", {}),
        ("count(*) filter (where x > 1)", {"x": "FILTER"}),
        ("sum(y) filter (where x > 1)", {"x": "FILTER", "y": "AGGREGATION"}),
        ("sum(case when x > 1 then y end)", {"x": "CONDITIONAL", "y": "AGGREGATION"}),
        ("arg_max(x, y)", {"x": "AGGREGATION", "y": "SORT"}),
        ("first(x order by y)", {"x": "AGGREGATION", "y": "SORT"}),
        ("md5(max(S))", {"S": "AGGREGATION+masking"}),
        ("max(md5(S))", {"S": "AGGREGATION+masking"}),
        ("sum(x) / count(y)", {"x": "AGGREGATION", "y": "AGGREGATION+masking"}),
        ("list_transform(list(x order by x), lambda y: y + 1)", {"x": "AGGREGATION SORT"}),
        ("quantile_cont(x, 0.5)", {"x": "AGGREGATION"}),
        ("epoch(now() - max(ts))", {"ts": "AGGREGATION"}),
        ("max(x) + {{request}}", {"x": "AGGREGATION"}),
    ],
)  # fmt: skip
def test_an_item_of_a_grouped_query(item: str, expected: Mapping[str, str]) -> None:
    item = item.replace("{{request}}", "getvariable('forebay_request_a')::double")
    found = trace(f"select k, {item} as f from events group by k")
    assert plain(found.features["f"]) == {f"events.{c}": how for c, how in expected.items()}
    assert plain(found.rows) == {"events.k": "GROUP_BY JOIN", "events.ts": "FILTER"}
    assert plain(found.keys["k"]) == {"events.k": "IDENTITY"}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("x", {"x": "IDENTITY"}),
        ("x as f2, y", {"y": "IDENTITY"}),
        ("x::varchar", {"x": "TRANSFORMATION"}),
        ("hash(x)", {"x": "TRANSFORMATION+masking"}),
        ("coalesce(x, y)", {"x": "TRANSFORMATION", "y": "TRANSFORMATION"}),
        ("case x when 1 then y else 2 end", {"x": "CONDITIONAL", "y": "TRANSFORMATION"}),
        (
            "sum(x) over (partition by S order by ts rows 3 preceding)",
            {"x": "AGGREGATION", "S": "WINDOW", "ts": "SORT"},
        ),
        ("lag(x) over (partition by k order by ts)",
         {"x": "TRANSFORMATION", "k": "WINDOW", "ts": "SORT"}),
    ],
)  # fmt: skip
def test_an_item_of_a_history(item: str, expected: Mapping[str, str]) -> None:
    found = trace(f"select k, ts, {item} as f from events", event_time="ts")
    assert plain(found.features["f"]) == {f"events.{c}": how for c, how in expected.items()}
    assert plain(found.rows)["events.ts"] == "FILTER SORT"


def test_what_decides_rows() -> None:
    found = trace("select k, count(*) as n from events where x > 1 group by k having max(y) > 0")
    assert plain(found.rows) == {
        "events.k": "GROUP_BY JOIN",
        "events.ts": "FILTER",
        "events.x": "FILTER",
        "events.y": "FILTER",
    }
    assert found.of_feature("n") == found.rows


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        ("late", {"late.ts": "FILTER", "late.at": "FILTER"}),
        ("versions", {"versions.since": "FILTER", "versions.until": "FILTER"}),
        ("changes", {"changes.ts": "FILTER SORT", "changes.id": "GROUP_BY",
                     "changes.gone": "FILTER"}),
        ("dims", {}),
    ],
)  # fmt: skip
def test_when_a_row_counts(leaf: str, expected: Mapping[str, str]) -> None:
    found = trace(f"select 1 as k, count(*) as n from {leaf}")
    assert plain(found.of_feature("n")) == expected


def test_what_is_known_later() -> None:
    found = trace("select k, sum(delay) as d from trips group by k")
    assert plain(found.features["d"]) == {
        "trips.delay": "AGGREGATION",
        "trips.ended": "CONDITIONAL",
    }
    found = trace("select k, max(until) as u from versions group by k")
    assert plain(found.features["u"]) == {"versions.until": "AGGREGATION CONDITIONAL"}


def test_a_left_join_that_meets_one_row_reaches_what_it_gives() -> None:
    found = trace(
        "with a as (select k, count(*) as n from events group by k), "
        "b as (select k, max(size) as size from dims where size > 3 group by k) "
        "select a.k, a.n, b.size from a left join b on a.k = b.k"
    )
    assert plain(found.features["n"]) == {}
    assert plain(found.rows) == {"events.k": "GROUP_BY JOIN", "events.ts": "FILTER"}
    assert plain(found.features["size"]) == {
        "dims.size": "AGGREGATION FILTER",
        "dims.k": "GROUP_BY JOIN",
        "events.k": "JOIN",
    }


def test_a_left_join_that_may_meet_several_reaches_every_count() -> None:
    found = trace(
        "select e.k, count(*) as n, max(d.size) as size from events e left join dims d on d.k = e.k "
        "group by e.k"
    )
    assert plain(found.rows)["dims.k"] == "JOIN"
    assert ("dims", "size") not in found.rows
    assert plain(found.features["size"])["dims.size"] == "AGGREGATION"


def test_an_inner_join_decides_rows() -> None:
    found = trace("select e.k, max(e.x) as x from events e join dims d on d.k = e.k group by e.k")
    assert plain(found.rows)["dims.k"] == "JOIN"


@pytest.mark.parametrize(
    "test", ["exists (select 1 from dims d where d.k = e.k)", "k in (select k from dims)"]
)
def test_a_subquery_in_where(test: str) -> None:
    found = trace(f"select k, max(x) as x from events e where {test} group by k")
    assert "FILTER" in plain(found.rows)["dims.k"]
    assert ("dims", "size") not in found.of_feature("x")


def test_a_union_reads_by_position() -> None:
    found = trace(
        "select k, sum(v) as s, max(w) as m from (select k, x as v, y as w from events "
        "union all select k, delay, 1 from trips) group by k"
    )
    assert set(plain(found.features["s"])) == {"events.x", "trips.delay", "trips.ended"}
    assert set(plain(found.features["m"])) == {"events.y"}
    assert {"events.k", "trips.k", "events.ts", "trips.ts"} == set(plain(found.rows))


def test_distinct_and_a_limit_decide_rows() -> None:
    found = trace("select k, max(x) as m from (select distinct k, x, y from events) group by k")
    assert plain(found.rows)["events.y"] == "GROUP_BY"
    found = trace(
        "select 'a' as k, max(x) as m from (select x from events order by y desc limit 3)"
    )
    assert plain(found.of_feature("m"))["events.y"] == "SORT"


def test_a_lateral_list_is_taken_apart() -> None:
    found = trace("select k, sum(u.v) as s from events, unnest(xs) as u(v) group by k")
    assert plain(found.features["s"]) == {"events.xs": "AGGREGATION"}
    assert "events.xs" in plain(found.rows)


def test_ties_of_a_history_are_said_to_be_ties() -> None:
    found = trace("select k, ts, x, y from events", event_time="ts", tie_break=("x",))
    assert {e.code for e in found.rows["events", "x"]} == {"SORT"}
    assert {e.code for e in found.rows["events", "y"]} == {"SORT+tie"}


def test_columns_are_spelled_as_the_table_has_them() -> None:
    assert ("events", "S") in trace("select k, max(s) as m from events group by k").features["m"]


def test_models_stand_between() -> None:
    found = trace(
        "select k, sum(d) as sd from stg group by k",
        models={"stg": "select k, x + y as d, S as s from events"},
    )
    assert plain(found.features["sd"]) == {"events.x": "AGGREGATION", "events.y": "AGGREGATION"}
    assert plain(found.through["sd"]) == {"stg.d": "AGGREGATION"}
    assert plain(found.rows_through) == {"stg.k": "GROUP_BY JOIN"}
    assert plain(found.models["stg"]["s"]) == {"events.S": "IDENTITY"}
    assert load_lineage(found.dump()) == found
