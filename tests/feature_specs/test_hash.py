"""The semantic hash follows the meaning of a view, not its text."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import DAYS, EVENTS, LATE, LOCAL, SEEN_AT_EVENT, TRIPS

SQL = (
    "select k, sum(x) as v from events where ts > current_timestamp - interval '1' hour group by k"
)


def _hash(sql: str = SQL, leaf: Leaf = EVENTS, **options: object) -> str:
    view = FeatureView("v", sql, ("k",))
    return compile_view(replace(view, **options), [leaf]).semantic_hash  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sql",
    [
        SQL.upper().replace("'1'", "'1'"),
        SQL.replace(" from ", "\n  -- the leaf\nfrom\n\t"),
        "/* what it is */ " + SQL,
        SQL.replace("current_timestamp", "now()"),
        SQL.replace("events where", "events as events where"),
        SQL.replace("sum(x)", "sum(events.x)"),
        SQL + " order by k",
    ],
)
def test_text_does_not_matter(sql: str) -> None:
    assert _hash(sql) == _hash()


@pytest.mark.parametrize(
    "sql",
    [
        SQL.replace(">", ">="),
        SQL.replace("'1'", "'2'"),
        SQL.replace("sum(x)", "max(x)"),
        SQL.replace("sum(x)", "sum(d)"),
        SQL.replace("as v", "as w"),
        SQL + " having count(*) > 1",
    ],
)
def test_the_query_matters(sql: str) -> None:
    assert _hash(sql) != _hash()


def test_the_roles_of_leaves_matter() -> None:
    hashes = {_hash(leaf=leaf) for leaf in (EVENTS, LATE, SEEN_AT_EVENT)}
    hashes.add(_hash(leaf=replace(EVENTS, known_later={"x": "loaded"})))
    hashes.add(_hash(leaf=replace(EVENTS, event_time="loaded")))
    assert len(hashes) == 5
    assert _hash(leaf=replace(EVENTS, where="sources.yml:3")) == _hash()


def test_zones_and_day_ends_matter() -> None:
    for leaf, change in ((LOCAL, {"timezone": "UTC"}), (DAYS, {"date_visible": "start"})):
        sql = f"select k, sum(x) as v from {leaf.name} group by k"
        assert _hash(sql, leaf) != _hash(sql, replace(leaf, **change))  # type: ignore[arg-type]


def test_what_the_view_declares_matters() -> None:
    sql = "select k, ts, x, s from events"
    history: dict[str, object] = {"event_time": "ts"}
    variants: list[dict[str, object]] = [
        history,
        {**history, "tie_break": ("x",)},
        {**history, "boundary": "exclusive"},
    ]
    assert len({_hash(sql, EVENTS, **options) for options in variants}) == len(variants)


def test_what_is_applied_at_reading_does_not_matter() -> None:
    sql = "select k, ts, x, epoch(now() - ts) as age from events"
    plain = _hash(sql, EVENTS, event_time="ts")
    assert plain == _hash(sql, EVENTS, event_time="ts", ttl=timedelta(hours=1))
    assert plain == _hash(
        sql.replace("epoch(now() - ts)", "epoch(now() - ts) / 60"), event_time="ts"
    )
    assert plain != _hash(sql.replace("x,", "x + 1 as x,"), event_time="ts")


def test_an_inlined_model_matters_and_its_layout_does_not() -> None:
    sql = "select k, count(*) as n from recent group by k"

    def with_model(model: str) -> str:
        return _hash(sql, TRIPS, models={"recent": model})

    plain = with_model("select k, ts from trips where delay > 3")
    assert plain == with_model("SELECT k,\n ts -- when\nFROM trips\nWHERE delay > 3")
    assert plain != with_model("select k, ts from trips where delay > 4")
