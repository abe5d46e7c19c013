"""Few rows, and every instant at which something could change: no edge is left to luck."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import BASE, DIMS, EVENTS, LATE, QUARTER, TRIPS, TZ, US

pytestmark = pytest.mark.many_cases

HOUR = timedelta(hours=1)
STREAM = Leaf("trips", TRIPS.columns, event_time="ts")

EXACT = "count(*) as n, count(x) as c, sum(x) as s, avg(x) as a, var_pop(x) as v"
FLOATS = "sum(f) as sf, avg(f) as af"
EXTREMES = "min(x) as lo, max(x) as hi, stddev_samp(f) as df"


def _event(quarter: int, late: int, x: int | None, f: float | None, s: str = "p") -> Row:
    ts = BASE + quarter * QUARTER
    return ("a", 1, ts, ts + late * QUARTER, x, None, f, s, True)


#: Early, on time, late, and later than an hour; two alone in their windows, and one that never arrives.
ROWS = [
    _event(0, 0, 1, 0.5), _event(0, 0, 2, None), _event(1, 2, -3, 0.25), _event(2, 6, 5, 1.5, "q"),
    _event(3, -1, 7, -2.0), _event(3, 0, 7, 3.0, "q"), _event(20, 0, None, None),
    _event(40, 9, None, 1.0), ("a", 1, BASE + QUARTER, None, 9, None, 9.0, "p", True),
]  # fmt: skip
RIDES = [("a", BASE + n * QUARTER, None, delay) for n, delay in ((-2, 1), (2, 7), (3, -1), (4, 5))]
WIDTHS = (timedelta(), HOUR, 2 * HOUR)


def _instants(*tables: Sequence[Row]) -> list[datetime]:
    found = {v for rows in tables for row in rows for v in row if isinstance(v, datetime)}
    edges = {t + w + j for t in found for w in WIDTHS for j in (-US, 0 * US, US)}
    return [BASE - 9 * HOUR, *sorted(edges)]


def _check(
    sql: str, *tables: tuple[Leaf, Sequence[Row]], visible: bool = False, **options: Any
) -> list[str]:
    leaves = [leaf for leaf, _ in tables]
    instants = _instants(*(rows for _, rows in tables))
    spine = [(n, "a", t, None) for n, t in enumerate(instants)]
    view = FeatureView("v", sql, ("k",), **options)
    named = {leaf.name: rows for leaf, rows in tables}
    world = make_world(view, leaves, named, spine, visible=visible, scale=10.0)
    assert world.compiled.draft.form is not None, world.compiled.draft.why_no_form
    return world.check_point_in_time()


@pytest.mark.parametrize("boundary", ["inclusive", "exclusive"])
@pytest.mark.parametrize("compare", [">", ">="])
@pytest.mark.parametrize(
    ("leaf", "items", "valid"),
    [
        (EVENTS, EXACT, {"cumulative", "frames", "stab"}),
        (EVENTS, FLOATS, {"cumulative", "frames", "stab"}),
        (EVENTS, EXTREMES, {"frames", "stab"}),
        (LATE, EXACT, {"cumulative", "stab"}),
        (LATE, FLOATS, {"cumulative", "stab"}),
        (LATE, EXTREMES, {"stab"}),
    ],
    ids=["exact", "floats", "extremes", "late exact", "late floats", "late extremes"],
)
def test_a_window(leaf: Leaf, items: str, valid: set[str], compare: str, boundary: str) -> None:
    sql = f"select k, {items} from events where ts {compare} now() - interval '1' hour group by k"
    assert valid <= set(_check(sql, (leaf, ROWS), boundary=boundary))


@pytest.mark.parametrize("leaf", [EVENTS, LATE], ids=["event", "arrival"])
def test_windows_in_filter(leaf: Leaf) -> None:
    _check(
        "select k, count(*) as n, sum(x) filter (where ts > now() - interval '1' hour) as s1, "
        "count(*) filter (where ts >= now() - interval '2' hour and s = 'p') as n2, "
        "avg(f) filter (where ts > now() - interval '2' hour) as f2, max(x) filter (where ts >= now() "
        "- interval '1' hour) as m1, sum(x) filter (where ts < now() - interval '1' hour) as old, "
        "count(x) filter (where ts <= now() - interval '1' hour) as older from events group by k",
        (leaf, ROWS),
    )


def test_a_window_that_ends_by_another_time() -> None:
    """Rows do not leave in the order in which they came."""
    _check(
        "select k, max(x) as hi, min(f) as lo, count(*) as n from events "
        "where loaded > now() - interval '1' hour group by k",
        (EVENTS, ROWS),
    )


def test_lives_of_equal_values_overlap() -> None:
    for source in (
        "select distinct k, x from events where ts > now() - interval '1' hour",
        "select k, x from events where ts > now() - interval '1' hour union "
        "select k, x from events where ts > now() - interval '2' hour",
    ):
        _check(
            f"select k, count(*) as n, sum(x) as s from ({source}) as u group by k", (LATE, ROWS)
        )


def test_a_group_that_always_exists() -> None:
    _check(
        "select d.k, t.n, t.s, t.c from dims d cross join (select count(*) as n, sum(x) as s, count(distinct x) as c from events "
        "where ts > now() - interval '1' hour) as t",
        (DIMS, [("a", "n", 1)]),
        (LATE, ROWS),
    )
    _check(
        "select d.k, (select count(*) from events e where e.k = d.k and e.ts > now() - "
        "interval '1' hour) as n from dims d",
        (DIMS, [("a", "n", 1)]),
        (LATE, ROWS),
    )


@pytest.mark.parametrize("boundary", ["inclusive", "exclusive"])
@pytest.mark.parametrize(
    "sql",
    [
        "select e.k, count(*) as n, count(t.k) as m, sum(t.delay) as d from events e left join trips t "
        "on t.k = e.k and t.ts > now() - interval '1' hour group by e.k",
        "select e.k, count(*) as n, count(t.k) as m, sum(t.delay) as d from events e left join trips t "
        "on t.k = e.k and t.delay > e.x where t.ts > now() - interval '1' hour or t.ts is null "
        "group by e.k",
        "select e.k, count(*) as n, sum(e.x) as s from events e where exists (select 1 from trips t "
        "where t.k = e.k and t.delay > 5 and t.ts > now() - interval '1' hour) group by e.k",
        "select e.k, count(*) as n, sum(e.x) as s from events e where exists (select 1 from trips t "
        "where t.k = e.k and t.delay > 5) group by e.k",
        "select e.k, count(*) as n, sum(e.x) as s from events e where not exists (select 1 from trips t "
        "where t.k = e.k and t.delay > e.x and t.ts > now() - interval '2' hour) group by e.k",
        "select e.k, count(*) as n, sum(t.delay) as d from events e join trips t on t.k = e.k "
        "and t.ts <= e.ts where e.ts > now() - interval '1' hour group by e.k",
        "select k, count(*) as n, sum(x) as s from (select k, x from events except "
        "select k, delay from trips where ts > now() - interval '1' hour) as u group by k",
    ],
    ids=["left", "left or null", "exists", "exists for ever", "not exists", "inner", "except"],
)
def test_matches(sql: str, boundary: str) -> None:
    _check(sql, (LATE, ROWS), (STREAM, RIDES), boundary=boundary)


def test_gaps_between_a_long_match_and_short_ones() -> None:
    """A short match within a long one leaves no gap when it ends."""
    versions = Leaf(
        "versions", {"k": "VARCHAR", "since": TZ, "until": TZ, "price": "INTEGER"},
        valid_from="since", valid_to="until",
    )  # fmt: skip
    spans = [(0, 9), (1, 3), (2, 4), (12, 13), (13, 15)]
    rows = [("a", BASE + a * QUARTER, BASE + b * QUARTER, b) for a, b in spans]
    for test in ("not exists", "exists"):
        _check(
            f"select d.k, d.weight as w from dims d where {test} "
            "(select 1 from versions v where v.k = d.k)",
            (DIMS, [("a", "n", 1)]),
            (versions, rows),
        )
    _check(
        "select d.k, count(*) as n, count(v.k) as m, sum(v.price) as p from dims d "
        "left join versions v on v.k = d.k group by d.k",
        (DIMS, [("a", "n", 1)]),
        (versions, rows),
    )


def test_a_match_that_comes_after_its_window() -> None:
    """It splits no gap: count(*) sees the rows without a match that count(e.k) does not."""
    _check(
        "select d.k, count(*) as rows_, count(e.k) as n, sum(e.x) as s from dims d left join events e "
        "on e.k = d.k and e.ts > now() - interval '1' hour group by d.k",
        (DIMS, [("a", "n", 1)]),
        (LATE, ROWS),
    )


@pytest.mark.parametrize("leaf", [EVENTS, LATE], ids=["event", "arrival"])
@pytest.mark.parametrize(
    "rank", ["ts, x, s = 1", "ts desc, x desc, s desc = 1", "ts desc, x desc, s desc < 3"]
)
def test_first_and_last_rows_in_a_window(rank: str, leaf: Leaf) -> None:
    order, compare, count = rank.rsplit(" ", 2)
    _check(
        "select k, count(*) as n, sum(x) as s, max(x) as hi from (select k, x from events "
        f"where ts > now() - interval '1' hour qualify row_number() over (partition by k order by "
        f"{order}) {compare} {count}) as e group by k",
        (leaf, ROWS),
    )


@pytest.mark.parametrize("boundary", ["inclusive", "exclusive"])
@pytest.mark.parametrize("leaf", [EVENTS, LATE], ids=["event", "arrival"])
def test_one_row_at_a_time(leaf: Leaf, boundary: str) -> None:
    order = ", ".join(f"{c} desc nulls last" for c in ("ts", "x", "s", "f"))
    for test in ("ts > now() - interval '1' hour", "ts >= now() - interval '1' hour", "true"):
        _check(
            f"select k, x, s, f from events where {test} "
            f"qualify row_number() over (partition by k order by {order}) = 1",
            (leaf, ROWS),
            boundary=boundary,
        )


@pytest.mark.parametrize("boundary", ["inclusive", "exclusive"])
@pytest.mark.parametrize("leaf", [EVENTS, LATE], ids=["event", "arrival"])
def test_a_history(leaf: Leaf, boundary: str) -> None:
    for test in ("true", "ts > now() - interval '1' hour"):
        _check(
            f"select k, ts, x, s, f from events where {test}",
            (leaf, ROWS),
            visible=leaf is LATE,
            boundary=boundary,
            event_time="ts",
            ttl=HOUR if test == "true" else None,
        )


def test_ranks_of_late_rows_read_twice() -> None:
    order = ", ".join(f"{c} desc nulls last" for c in ("ts", "x", "s", "f"))
    _check(
        "with e as (select k, ts, x, s, f from events), l as (select k, ts, x from e "
        f"qualify row_number() over (partition by k order by {order}) = 1), "
        "c as (select k, count(*) as n from e group by k) "
        "select l.k, l.x, l.ts as at_, c.n from l join c on c.k = l.k",
        (LATE, ROWS),
    )


def test_floats_that_are_far_too_large_leave_again() -> None:
    rows = [
        _event(0, 0, 1, 1e25),
        _event(1, 0, 1, 1e300),
        *(_event(n, 0, 1, 0.1) for n in range(2, 12)),
    ]
    _check(
        "select k, sum(f) as s, avg(f) as m from events where ts > now() - interval '1' hour "
        "and f < 1 group by k",
        (EVENTS, rows),
    )
    _check(
        "select k, sum(f) filter (where ts > now() - interval '1' hour and f is not null) as s, "
        "count(*) as n from events group by k",
        (EVENTS, [_event(-9, 0, 1, 1e25), *rows[2:]]),
    )
