"""What a mutation showed that no other test held: each of these noticed a broken compiler."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row, connect, fill
from tests.feature_specs.worlds import (
    BASE,
    DIMS,
    EVENTS,
    KEPT_VERSIONS,
    QUARTER,
    TRIPS,
    TZ,
    US,
    make_rows,
    make_spine,
)  # fmt: skip

pytestmark = pytest.mark.many_cases

HOUR = timedelta(hours=1)
TOTAL = "ts, x, d, f, s, ok, j, loaded"
AVERSE = ", ".join(f"{c} desc nulls last" for c in TOTAL.split(", "))
SPINE = {"id": "INTEGER", "k": "VARCHAR", "ts": TZ, "amount": "DOUBLE"}


def _event(ts: datetime, x: int | None = 1, *, k: str = "a", f: float | None = None) -> Row:
    return (k, 1, ts, ts, x, None, f, "p", True)


def _agrees(sql: str, *leaves: Leaf) -> None:
    """The law over the shared random tables."""
    tables = {leaf.name: make_rows(leaf, 3) for leaf in leaves}
    spine = make_spine(list(tables.values()), (HOUR, 6 * HOUR), 1, 3, size=30)
    world = make_world(FeatureView("v", sql, ("k",)), leaves, tables, spine)
    assert world.compiled.draft.form is not None, world.compiled.draft.why_no_form
    world.check_point_in_time()
    world.check_as_of([BASE + n * QUARTER for n in (3, 30, 70)])


def _agrees_over(
    sql: str, leaf: Leaf, rows: Sequence[Row], instants: Sequence[datetime], scale: float = 1.0
) -> None:
    """The law over a few rows of key a at some instants, in order."""
    spine = [(n, "a", t, None) for n, t in enumerate(instants)]
    view = FeatureView("v", sql, ("k",))
    world = make_world(view, [leaf], {leaf.name: rows}, spine, scale=scale)
    assert world.compiled.draft.form is not None, world.compiled.draft.why_no_form
    world.check_point_in_time()
    world.check_as_of(list(instants))


def test_a_version_of_no_length_is_never_seen() -> None:
    rows = [
        ("a", "free", 1, BASE, BASE + HOUR),
        ("a", "none", 2, BASE + QUARTER, BASE + QUARTER),
        ("a", "odd", 3, BASE + QUARTER, BASE),
    ]
    sql = "select k, count(*) as n, sum(price) as p from versions group by k"
    times = [BASE - US, BASE, BASE + QUARTER, BASE + 2 * QUARTER, BASE + HOUR]
    _agrees_over(sql, KEPT_VERSIONS, rows, times)


def test_nanoseconds_round_up_on_a_leaf() -> None:
    leaf = Leaf("ticks", {"k": "VARCHAR", "ts": "TIMESTAMP_NS"}, event_time="ts", timezone="UTC")
    view = FeatureView("v", "select k, count(*) as n from ticks group by k", ("k",))
    compiled = compile_view(view, [leaf])
    connection = connect()
    connection.execute("create table ticks (k varchar, ts timestamp_ns)")
    connection.execute("insert into ticks values ('a', '2024-02-27 00:00:00.000000001')")
    fill(connection, "spine", SPINE, [(n, "a", BASE + n * US, None) for n in range(3)])
    for lowering in (None, "stab", "decorrelated"):
        sql = compiled.point_in_time(lowering=lowering)
        rows = sorted(connection.execute(sql).fetchall())
        assert [row[-1] for row in rows] == [None, 1, 1]


@pytest.mark.parametrize(
    ("test", "width"),
    [
        ("ts > now() - interval '1' week", timedelta(weeks=1)),
        ("ts > now() - interval 2 days", timedelta(days=2)),
        ("ts > now() - interval '90 seconds'", timedelta(seconds=90)),
        ("ts > now() - interval '250' millisecond", timedelta(milliseconds=250)),
        ("ts > now() - interval '7' microsecond", timedelta(microseconds=7)),
        ("ts > now() - to_weeks(1)", timedelta(weeks=1)),
        ("ts > now() - to_minutes(5)", timedelta(minutes=5)),
        ("ts > now() - to_milliseconds(1500)", timedelta(milliseconds=1500)),
        ("ts > now() + interval '-1' hour", HOUR),
        ("ts > now() + interval (-1) hour", HOUR),
        ("ts > now() + to_hours(-1)", HOUR),
    ],
)
def test_each_unit_of_a_window_has_its_length(test: str, width: timedelta) -> None:
    sql = f"select k, count(*) as n, sum(x) as s from events where {test} group by k"
    edges = [BASE + n * width + j for n in (0, 1, 2) for j in (-US, 0 * US, US)]
    _agrees_over(sql, EVENTS, [_event(BASE), _event(BASE + width, 5)], edges)


@pytest.mark.parametrize(
    "sql",
    [
        "select k, region from dims",
        "with a as (select k, count(*) as n from dims group by k), b as "
        "(select k, region, max(weight) as m from dims group by k, region) "
        "select a.k, a.n, b.m from a left join b on a.k = b.k",
        "with a as (select k, count(*) as n from dims group by k), b as "
        "(select k, region, max(weight) as m from dims group by k, region) "
        "select a.k, a.n, b.m from a join b on a.k = b.k",
    ],
    ids=["a leaf", "left join of groups", "inner join of groups"],
)
def test_a_second_row_of_an_entity_is_an_error(sql: str) -> None:
    compiled = compile_view(FeatureView("v", sql, ("k",)), [DIMS])
    connection = connect()
    fill(connection, "dims", DIMS.columns, [("a", "n", 1), ("a", "s", 2), ("b", "n", 3)])
    fill(connection, "spine", SPINE, [(0, "a", BASE, None), (1, "b", BASE, None)])
    for statement in (
        compiled.point_in_time(),
        compiled.point_in_time(lowering="decorrelated"),
        compiled.as_of(BASE),
    ):
        with pytest.raises(duckdb.Error, match="two rows for one entity"):
            connection.execute(statement).fetchall()


def test_a_comparison_with_a_null_time_keeps_its_row() -> None:
    _agrees(
        "select k, count(*) as n, sum(case when loaded > now() - interval '1' hour then 1 else 7 end) "
        "as s, count(*) filter (where loaded > now() - interval '1' hour or x > 1) as m "
        "from events group by k",
        EVENTS,
    )


@pytest.mark.parametrize("order", ["{0} union all {1}", "{1} union all {0}"])
def test_a_union_of_rows_that_last_and_rows_that_leave(order: str) -> None:
    lasting = "select k, x from events"
    leaving = "select k, delay as x from trips where ts > now() - interval '1' hour"
    both = order.format(lasting, leaving)
    trips = Leaf("trips", TRIPS.columns, event_time="ts")
    _agrees(f"select k, count(*) as n, max(x) as hi from ({both}) as u group by k", EVENTS, trips)


RANKED = {
    "fewer than three of the last": "select k, count(*) as n, sum(x) as sx from (select k, x from events "
    f"qualify row_number() over (partition by k order by {AVERSE}) < 3) as e group by k",
    "a rank from the end": "select k, sum(x * r) as s from (select k, x, row_number() over "
    f"(partition by k order by {AVERSE}) as r from events) as e group by k",
    "what follows": "select k, sum(l) as s, count(l) as n from (select k, lead(x) over "
    f"(partition by k order by {TOTAL}) as l from events) as e group by k",
    "a frame ahead": "select k, max(r) as hi, sum(r) as s from (select k, sum(x) over (partition by k "
    f"order by {TOTAL} rows between 1 preceding and 1 following) as r from events) as e group by k",
    "the first row": "select k, x, s from events "
    f"qualify row_number() over (partition by k order by {TOTAL}) = 1",
    "a condition beside": "select k, x, ts as seen from (select *, row_number() over (partition by k "
    f"order by {AVERSE}) as n from events) as e where n = 1 and x > 0",
}  # fmt: skip


def test_fewer_than_three_of_the_last_rows() -> None:
    _agrees(RANKED["fewer than three of the last"], EVENTS)


def test_a_rank_from_the_end_changes_with_each_row() -> None:
    _agrees(RANKED["a rank from the end"], EVENTS)


def test_what_follows_a_row_is_not_known_at_its_start() -> None:
    _agrees(RANKED["what follows"], EVENTS)


def test_a_frame_that_reaches_ahead_is_not_known_at_its_start() -> None:
    _agrees(RANKED["a frame ahead"], EVENTS)


def test_the_first_row_stays_the_first() -> None:
    _agrees(RANKED["the first row"], EVENTS)


def test_conditions_beside_a_rank_stay() -> None:
    _agrees(RANKED["a condition beside"], EVENTS)


def _answers_in_any_order(sql: str, rows: Sequence[Row]) -> set[tuple[Any, ...]]:
    """What each lowering gives for key a, whatever order the rows are stored in."""
    compiled = compile_view(FeatureView("v", sql, ("k",)), [EVENTS])
    connection = connect()
    fill(connection, "spine", SPINE, [(0, "a", BASE + HOUR, None)])
    found = set()
    for shuffled in itertools.permutations(rows):
        fill(connection, "events", EVENTS.columns, shuffled)
        for lowering in (None, "decorrelated"):
            statement = compiled.point_in_time(lowering=lowering)
            found |= {row[len(SPINE) :] for row in connection.execute(statement).fetchall()}
    return found


def test_tied_rows_are_ranked_by_their_values() -> None:
    sql = "select k, x from events qualify row_number() over (partition by k order by ts desc) = 1"
    assert len(_answers_in_any_order(sql, [_event(BASE, x) for x in (3, 1, 2)])) == 1
    sql = (
        "select k, sum(p) as s, max(p) as hi from (select k, x * lag(x) over (partition by k order by "
        "ts) as p from events) as e group by k"
    )
    assert len(_answers_in_any_order(sql, [_event(BASE, x) for x in (3, 1, 2)])) == 1


def test_arg_max_takes_the_greatest_of_its_peers() -> None:
    sql = "select k, arg_max(x, ts) as x, arg_min(x, ts) as y from events group by k"
    rows = [_event(BASE, x) for x in (3, 1, 2)]
    assert _answers_in_any_order(sql, rows) == {(3, 1)}


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), float("nan")])
def test_a_float_that_is_not_finite_leaves_again(odd: float) -> None:
    rows = [_event(BASE, f=odd)]
    rows += [_event(BASE + n * QUARTER, f=0.1) for n in range(1, 12)]
    times = [BASE + n * QUARTER for n in range(14)]
    sql = (
        "select k, sum(f) as s, avg(f) as m from events where ts > now() - interval '1' hour "
        "group by k"
    )
    _agrees_over(sql, EVENTS, rows, times)


def _numbers(kind: str, values: Sequence[Any]) -> tuple[Leaf, list[Row]]:
    leaf = Leaf("numbers", {"k": "VARCHAR", "ts": TZ, "v": kind}, event_time="ts")
    return leaf, [("a", BASE + n * QUARTER, v) for n, v in enumerate(values)]


def test_the_widest_integers() -> None:
    rng = random.Random(1)
    leaf, rows = _numbers(
        "BIGINT", [rng.choice([1, -1]) * (2**63 - rng.randrange(1, 9)) for _ in range(12)]
    )
    sql = (
        "select k, sum(v) as s, avg(v) as m, var_pop(v) as p, stddev_samp(v) as d from numbers "
        "where ts > now() - interval '2' hour group by k"
    )
    times = [BASE + n * QUARTER for n in range(22)]
    _agrees_over(sql, leaf, rows, times, scale=1e38)


def test_the_widest_decimals() -> None:
    leaf, rows = _numbers("DECIMAL(27,2)", [Decimal(s * 9 * 10**24) for s in (1, 1, 1, -1, 1, -1)])
    sql = (
        "select k, count(v) as n, sum(v) as s, avg(v) as m from numbers "
        "where ts > now() - interval '1' hour group by k"
    )
    times = [BASE + n * QUARTER for n in range(12)]
    _agrees_over(sql, leaf, rows, times, scale=1e26)


def test_sums_of_decimal_expressions() -> None:
    leaf, rows = _numbers("DECIMAL(12,2)", [Decimal(t) for t in ("0.10", "-7.25", "12345.67")])
    sql = (
        "select k, sum(v + v) as s, sum(v * 2) as t, avg(v * v) as m from numbers "
        "where ts > now() - interval '1' hour group by k"
    )
    _agrees_over(sql, leaf, rows, [BASE + n * QUARTER for n in range(8)], scale=1e9)


def test_a_certificate_names_each_leaf_once_a_bound() -> None:
    sql = "select k, sum(x) as v from events group by k"
    scans = compile_view(FeatureView("v", sql, ("k",)), [replace(EVENTS)]).certificate.scans
    assert len(scans) == len(set(scans)) and {s.leaf for s in scans} == {"events"}


def test_rows_that_unnest_are_several() -> None:
    leaf = Leaf("e", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER", "l": "INTEGER[]"}, event_time="ts")
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        f"create table e as select 'a' as k, '{BASE}'::timestamptz as ts, 1 as x, [1, 2] as l"
    )
    connection.execute(f"create table spine as select 'a' as k, '{BASE + HOUR}'::timestamptz as ts")
    for inner in (
        "select k, unnest(list(x order by x) || [7]) as u from e group by k",
        "select k, unnest(l) as u from e qualify row_number() over (partition by k order by ts, x) = 1",
    ):
        view = FeatureView("v", f"select k, u from ({inner}) as i", ("k",))
        sql = compile_view(view, [leaf]).point_in_time()
        with pytest.raises(duckdb.Error, match="two rows for one entity"):
            connection.execute(sql).fetchall()
