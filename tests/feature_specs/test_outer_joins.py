"""Where an outer join finds no match, what its subquery computes is null, however it is merged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from feature_specs import FeatureView, Leaf, compile_view
from tests.feature_specs.agreement import make_world
from tests.feature_specs.worlds import (
    BASE,
    DIMS,
    EVENTS,
    KEPT_VERSIONS,
    LATE,
    QUARTER,
    TRIPS,
    make_rows,
    make_spine,
)

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
#: Key c has events and no row of dims.
_JOINED = "select e.k, count(q.v) as n, sum(q.v) as s, sum(coalesce(q.v, -1)) as c from events e "

QUERIES = {
    "a constant": _JOINED + "left join (select k, 1 as v from dims) q on q.k = e.k group by e.k",
    "coalesce": _JOINED
    + "left join (select k, coalesce(weight, 100) as v from dims) q on q.k = e.k group by e.k",
    "case": _JOINED + "left join (select k, case when weight is null then 7 else 8 end as v "
    "from dims) q on q.k = e.k group by e.k",
    "two levels": _JOINED
    + "left join (select i.k, i.v from (select k, weight is null as u, 3 as v from dims) i) q "
    "on q.k = e.k group by e.k",
    "a common table expression": "with q as (select k, coalesce(weight, 100) as v from dims) "
    + _JOINED
    + "left join q on q.k = e.k group by e.k",
    "compared": _JOINED
    + "left join (select k, 1 as v from dims) q on q.k = e.k and q.v = e.x group by e.k",
    "by no plain column": _JOINED
    + "left join (select coalesce(k, 'c') as k, 1 as v from dims) q on q.k = e.k group by e.k",
    "by a range": _JOINED
    + "left join (select k, 1 as v from dims) q on q.k > e.k group by e.k",
    "asked in WHERE": "select e.k, count(*) as n from events e left join (select k, 1 as v from dims) "
    "q on q.k = e.k where q.v is null group by e.k",
    "late rows": "select e.k, count(q.v) as n, sum(q.w) as s from trips e left join "
    "(select k, ts, 1 as v, coalesce(x, 0) as w from events) q on q.k = e.k and q.ts <= e.ts "
    "where e.ts > now() - interval '6' hour group by e.k",
    "counted as a whole": "select e.k, count(q.*) as n from events e left join (select k, 1 as one, "
    "upper(region) as u from dims) q on q.k = e.k group by e.k",
    "a join of two": _JOINED
    + "left join (select d.k, v.price + d.weight as v from dims d join versions v on v.k = d.k) q "
    "on q.k = e.k group by e.k",
}  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_grouped(name: str) -> None:
    _agrees(QUERIES[name])


@pytest.mark.parametrize(
    "side",
    [
        "(select k, coalesce(weight, 100) as v from dims)",
        "(select k, 1 as v from dims where weight > 3)",
    ],
)
def test_a_history(side: str) -> None:
    sql = f"select e.k, e.ts, e.x, q.v from events e left join {side} q on q.k = e.k"
    _agrees(sql, event_time="ts", tie_break=("x",))


def test_through_a_model() -> None:
    """As it is written in place."""
    text = "select k, coalesce(weight, 100) as v from dims"
    sql = _JOINED + "left join staged q on q.k = e.k group by e.k"
    through = FeatureView("v", sql, ("k",), models={"staged": text})
    in_place = FeatureView("v", sql.replace("staged", f"({text})"), ("k",))
    compiled = [compile_view(view, [EVENTS, DIMS]) for view in (through, in_place)]
    assert compiled[0].point_in_time() == compiled[1].point_in_time()


def _agrees(sql: str, **options: object) -> None:
    known: dict[str, Leaf] = {"dims": DIMS, "trips": TRIPS, "versions": KEPT_VERSIONS}
    known["events"] = LATE if "from trips" in sql else EVENTS
    leaves = [leaf for name, leaf in known.items() if f" {name}" in sql]
    tables = {leaf.name: make_rows(leaf, 3) for leaf in leaves}
    spine = make_spine(list(tables.values()), (HOUR, 6 * HOUR), 1, 3, size=30)
    view = FeatureView("v", sql, ("k",), **options)  # type: ignore[arg-type]
    world = make_world(view, leaves, tables, spine)
    world.check_point_in_time()
    world.check_as_of([BASE + n * QUARTER for n in (3, 30, 70)])
