"""The one law over drawn views: widths, comparisons, aggregates, roles and data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import BASE, EVENTS, LATE, QUARTER, SEEN_AT_EVENT, US

AGGREGATES = (
    "count(*)", "count(x)", "sum(x)", "avg(x)", "sum(d)", "avg(d)", "min(x)", "max(s)", "sum(f)",
    "avg(f)", "stddev_samp(x)", "var_pop(f)", "count(distinct x)", "max(f)", "bool_or(ok)",
)  # fmt: skip

_steps = st.integers(0, 12).map(lambda n: BASE + n * QUARTER)
_jitter = st.sampled_from([timedelta(), timedelta(), US, -US])
_times = st.builds(lambda t, j: t + j, _steps, _jitter)
_delays = st.sampled_from([timedelta(), -QUARTER, QUARTER, 6 * QUARTER, 20 * QUARTER])


@st.composite
def rows_of_events(draw: st.DrawFn) -> list[Row]:
    """Up to 14 events of two keys, with nulls, ties, duplicates and late arrivals."""
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 14))):
        ts = draw(st.none() | _times if draw(st.integers(0, 9)) == 0 else _times)
        loaded = None if ts is None else ts + draw(_delays)
        rows.append(
            (
                draw(st.sampled_from(["a", "a", "b", "ü", None])),
                1,
                ts,
                loaded if draw(st.integers(0, 9)) else None,
                draw(st.none() | st.integers(-5, 5)),
                draw(st.none() | st.decimals(-100, 100, places=2)),
                draw(st.none() | st.floats(-1e3, 1e3)),
                draw(st.sampled_from(["p", "q", None])),
                draw(st.none() | st.booleans()),
            )
        )
        if draw(st.booleans()) and draw(st.booleans()):
            rows.append(rows[-1])
    return rows


@st.composite
def bounds(draw: st.DrawFn, column: str) -> str:
    """A comparison of a time column with the clock, spelled in one of several ways."""
    minutes = draw(st.sampled_from([15, 30, 60, 90]))
    operator = draw(st.sampled_from([">", ">="]))
    mirrored = {">": "<", ">=": "<="}[operator]
    return draw(
        st.sampled_from(
            [
                f"{column} {operator} current_timestamp - interval '{minutes}' minute",
                f"current_timestamp - interval {minutes} minutes {mirrored} {column}",
                f"{column} + interval '{minutes} minutes' {operator} now()",
            ]
        )
    )


@st.composite
def views(draw: st.DrawFn) -> tuple[FeatureView, Leaf]:
    """An as-of view over one leaf in one of its roles."""
    leaf = draw(st.sampled_from([EVENTS, LATE, SEEN_AT_EVENT]))
    items = []
    for i, function in enumerate(
        draw(st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=3))
    ):
        tests = []
        if draw(st.booleans()):
            tests.append(draw(bounds("ts")))
        if draw(st.integers(0, 3)) == 0:
            tests.append("x > 0")
        filtered = f" filter (where {' and '.join(tests)})" if tests else ""
        items.append(f"{function}{filtered} as v{i}")
    where = []
    if draw(st.booleans()):
        where.append(draw(bounds("ts")))
    if draw(st.integers(0, 4)) == 0:
        where.append("ts <= now() - interval '15' minute")
    if draw(st.integers(0, 4)) == 0:
        where.append("ok")
    text = f"select k, {', '.join(items)} from events"
    text += f" where {' and '.join(where)}" if where else ""
    text += " group by k" + (" having count(*) > 1" if draw(st.integers(0, 4)) == 0 else "")
    options: dict[str, Any] = {"boundary": draw(st.sampled_from(["inclusive", "exclusive"]))}
    return FeatureView("drawn", text, ("k",), **options), leaf


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(drawn=views(), rows=rows_of_events(), instants=st.lists(_times, min_size=1, max_size=5))
def test_drawn_views_agree(
    drawn: tuple[FeatureView, Leaf], rows: list[Row], instants: list[Any]
) -> None:
    view, leaf = drawn
    moved = [t + w for t in instants for w in (timedelta(), QUARTER, 4 * QUARTER)]
    asked = [(key, t, None) for t in moved for key in ("a", "b", "ü")]
    spine = [(i, *row) for i, row in enumerate([*asked, asked[0], (None, moved[0], None)])]
    world = make_world(view, [leaf], {"events": rows}, spine, scale=1e4)
    assert "decorrelated" in world.check_point_in_time()
    world.check_as_of(instants[:2])


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(
    leaf=st.sampled_from([EVENTS, LATE]),
    rows=rows_of_events(),
    instants=st.lists(_times, min_size=1, max_size=5),
    tie_break=st.sampled_from([(), ("x",), ("s", "x")]),
    boundary=st.sampled_from(["inclusive", "exclusive"]),
    ttl=st.sampled_from([None, QUARTER, 4 * QUARTER]),
)
def test_drawn_histories_agree(
    leaf: Leaf,
    rows: list[Row],
    instants: list[Any],
    tie_break: tuple[str, ...],
    boundary: Any,
    ttl: timedelta | None,
) -> None:
    view = FeatureView(
        "drawn",
        "select k, ts, x, s, f, epoch(now() - ts) as age from events",
        ("k",),
        event_time="ts",
        tie_break=tie_break,
        boundary=boundary,
        ttl=ttl,
    )
    moved = [t + w for t in instants for w in (timedelta(), QUARTER, 4 * QUARTER)]
    spine = [(i, key, t, None) for i, (t, key) in enumerate((t, k) for t in moved for k in "ab")]
    world = make_world(view, [leaf], {"events": rows}, spine, visible=leaf is LATE, scale=1e4)
    assert "latest" in world.check_point_in_time()
    world.check_as_of(instants[:2])


def test_a_huge_float_that_left_the_window_spoils_nothing() -> None:
    rows = [
        ("a", 1, BASE, BASE, 1, None, 1e17, "p", True),
        *(("a", 1, BASE + n * QUARTER, BASE, 1, None, 0.1, "p", True) for n in range(1, 40)),
    ]
    view = FeatureView(
        "huge",
        "select k, sum(f) as s, avg(f) as m, stddev_samp(f) as d from events "
        "where ts > now() - interval '1' hour group by k",
        ("k",),
    )
    spine = [(n, "a", BASE + (n + 5) * QUARTER, None) for n in range(30)]
    for leaf in (EVENTS, LATE):
        world = make_world(view, [leaf], {"events": rows}, spine, scale=1.0)
        world.check_point_in_time()
        world.check_as_of([BASE + 12 * QUARTER])
