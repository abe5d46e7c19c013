"""Steps of views whose keys are traced through more than a join, each with one thing to notice."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.worlds import BASE, DIMS, EVENTS
from tests.mutation.test_step_holes import HOUR, Tables, event, held

pytestmark = pytest.mark.many_cases


def test_a_union_is_touched_through_either_side() -> None:
    sql = (
        "select k, sum(x) as s from (select k, x from events where ok union all "
        "select k, -x from events where not ok) as u group by k"
    )
    first = event(BASE)
    other = (*event(BASE, 4, k="b")[:8], False)
    held(sql, [EVENTS], [(BASE, {"events": [first]}), (BASE, {"events": [first, other]})])


def test_a_row_that_comes_excludes_others() -> None:
    sql = (
        "select k, count(*) as n from events as a where not exists "
        "(select 1 from events as b where b.j = a.j and b.x > a.x) group by k"
    )
    first, more = event(BASE), event(BASE, 2, k="b")
    steps = [(BASE, {"events": [first]}), (BASE, {"events": [first, more]})]
    held(sql, [EVENTS], [*steps, (BASE, {"events": [more]})])


def test_a_window_is_touched_by_its_partition() -> None:
    sql = (
        "select k, sum(r) as s from (select k, x, row_number() over (partition by j order by x) "
        "as r from events) as ranked group by k"
    )
    first, second = event(BASE, 5), event(BASE, 1, k="b")
    held(sql, [EVENTS], [(BASE, {"events": [first]}), (BASE, {"events": [first, second]})])


def test_a_group_ages_out_though_no_row_changes() -> None:
    sql = (
        "select k, max(last) as latest from (select k, j, max(ts) as last from events group by k, j "
        "having max(ts) > now() - interval '1' hour) as g group by k"
    )
    rows = [event(BASE), event(BASE + HOUR, k="b")]
    held(sql, [EVENTS], [(BASE + HOUR / 2, {"events": rows}), (BASE + 2 * HOUR, {"events": rows})])


def test_a_computed_time_ages_out() -> None:
    sql = (
        "select k, count(*) as n from (select k, j, max(ts) as last from events group by k, j) as g "
        "where last > now() - interval '1' hour group by k"
    )
    rows = [event(BASE), event(BASE + HOUR, k="b")]
    held(sql, [EVENTS], [(BASE + HOUR / 2, {"events": rows}), (BASE + 2 * HOUR, {"events": rows})])


def test_a_match_that_comes_takes_the_place_of_none() -> None:
    sql = (
        "select coalesce(a.k, b.k) as k, count(a.x) as n, count(b.x) as m from events as a full join "
        "(select k, x from events where ok is null) as b on a.k = b.k and a.ok group by 1"
    )
    whole = event(BASE)
    unknown = (*event(BASE, 2)[:8], None)
    steps = [(BASE, {"events": [whole]}), (BASE, {"events": [whole, unknown]})]
    held(sql, [EVENTS], [*steps, (BASE, {"events": [unknown]})])


def test_a_null_among_the_values_of_not_in() -> None:
    other = Leaf("other", {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "x": "INTEGER"}, event_time="ts")
    sql = "select k, count(*) as n from events where x not in (select x from other) group by k"
    rows = [event(BASE), event(BASE, 7, k="b")]
    steps: list[tuple[datetime, Tables]] = [(BASE, {"events": rows, "other": []})]
    steps.append((BASE, {"events": rows, "other": [("z", BASE, None)]}))
    held(sql, [EVENTS, other], steps)


LATEST_OF_J = "select k from events qualify row_number() over (partition by j order by ts desc) = 1"
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("sql", "by_key"),
    [
        (f"where k in ({LATEST_OF_J})", True),
        (f"where k not in ({LATEST_OF_J})", True),
        (f"where k in ({LATEST_OF_J} union select k from events where x < 0)", True),
        ("where k in (select distinct on (j) k from events order by j, ts desc)", True),
        ("where k in (select k from events order by ts desc limit 1)", False),
        ("as o where k in (select k from events as i where i.j = o.j order by ts desc limit 1)", True),
        ("as o where k in (select k from events as i where i.j = o.j "
         "qualify row_number() over (order by ts desc) = 1)", True),
        ("where (k, ts) in (select k, max(ts) from events group by k)", True),
    ],
)  # fmt: skip
def test_a_row_takes_the_place_of_another_among_the_values_of_in(sql: str, by_key: bool) -> None:
    first, later = event(BASE), event(BASE + HOUR, k="b")
    held(
        f"select k, count(*) as n from events {sql} group by k",
        [EVENTS],
        [(BASE + HOUR, {"events": [first]}), (BASE + HOUR, {"events": [first, later]})],
        by_key=by_key,
    )


@pytest.mark.parametrize(
    ("inner", "by_key"),
    [
        # Whether a row is recent, beside a window over its key's rows.
        ("select k, x, (ts > now() - interval '2' day)::int as r, row_number() over "
         "(partition by k order by ts) as n from events", True),
        ("select k, x, case when ts > now() - interval '2' day then row_number() over "
         "(partition by k order by ts) else 0 end as r from events", True),
        ("select k, x, 1 as r from events qualify row_number() over (partition by k order by ts) = 2 "
         "or ts > now() - interval '2' day", True),
        # A group for the recent ones.
        ("select k, max(x) as x, (ts > now() - interval '2' day)::int as r from events "
         "group by k, ts > now() - interval '2' day", True),
        # A group that leaves moves the ranks of others.
        ("select k, 1 as x, rank() over (partition by j order by sum(x) desc) as r from events "
         "group by k, j having max(ts) > now() - interval '2' day", False),
        ("select k, 1 as x, rank() over (partition by j order by "
         "(max(ts) > now() - interval '2' day), sum(x)) as r from events group by k, j", False),
        # The first of an order that time changes.
        ("select k, (select i.x from events as i where i.k = o.k order by "
         "(i.ts > now() - interval '2' day) desc, i.x limit 1) as x, 1 as r from events as o", False),
        # Clocks beside LATERAL, and among constants.
        ("select e.k, q.x, 1 as r from events as e left join lateral (select max(f.ts) as t, "
         "max(f.x) as x from events as f where f.k = e.k) as q on q.t > now() - interval '2' day",
         False),
        ("select e.k, e.x, 1 as r from events as e join (values (current_timestamp)) as v(t) "
         "on e.ts > v.t - interval '2' day", False),
    ],
)  # fmt: skip
def test_time_alone_changes_what_is_computed_of_several_rows(inner: str, by_key: bool) -> None:
    rows = [event(BASE), event(BASE + DAY, 5), event(BASE, 9, k="b"), event(BASE + DAY, 3, k="c")]
    steps = [(BASE + days * DAY + HOUR, {"events": rows}) for days in (1, 2, 9)]
    sql = f"select k, sum(x) as s, sum(r) as r, count(*) as n from ({inner}) as q group by k"
    held(sql, [EVENTS], steps, by_key=by_key)


def test_a_static_row_after_all_takes_the_place_of_another() -> None:
    sql = (
        "select k, count(*) as n from events as e join "
        "(select k as first from dims order by weight limit 1) as d on d.first = e.k group by k"
    )
    rows = [event(BASE), event(BASE, k="b")]
    steps: list[tuple[datetime, Tables]] = [
        (BASE, {"events": rows, "dims": [("a", "n", 1)]}),
        (BASE, {"events": rows, "dims": [("a", "n", 1), ("b", "n", 0)]}),
    ]
    held(sql, [EVENTS, DIMS], steps, by_key=False)


def test_groups_are_made_one_by_a_subquery_that_they_are_made_of() -> None:
    sql = (
        "select k, count(*) as n from (select k from events as o group by k, "
        "(select max(i.x) from events as i where i.k <> 'a' and i.j = o.x)) as g group by k"
    )
    rows = [event(BASE), event(BASE, 2)]
    more = [*rows, event(BASE, 5, k="b")]
    held(sql, [EVENTS], [(BASE, {"events": rows}), (BASE, {"events": more})])


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (
            "select k, x - (select avg(x) from events) as over_mean from events "
            "qualify row_number() over (partition by k order by ts) = 1",
            "a condition on the key",
        ),
        ("select k, sum(x * epoch(now() - ts)) as s from events group by k", "is a quantity"),
        (
            "select k, count(*) as n from events as e where exists (select 1 from events as f where "
            "f.j = e.j and e.ts + interval '1' day * f.x > now()) group by k",
            "the outer query's",
        ),
        (
            "select k, max(r) as r from (select k, row_number() over (order by ts) as r from events) "
            "as ranked group by k",
            "partition it by the key",
        ),
    ],
)
def test_what_cannot_be_traced_says_why(sql: str, why: str) -> None:
    steps = compile_view(FeatureView("v", sql, ("k",)), [EVENTS]).stored_queries()
    assert steps.touched is None and why in steps.why
