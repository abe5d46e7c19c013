"""The one law over the whole language: joins, subqueries, sets, ranks and nested groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.worlds import (
    BASE,
    CHANGES,
    DAYS,
    DIMS,
    EVENTS,
    KEPT_VERSIONS,
    LATE,
    LOCAL,
    OPEN_VERSIONS,
    QUARTER,
    TRIPS,
    US,
    VERSIONS,
    instants_of,
    make_rows,
    make_spine,
)

pytestmark = pytest.mark.many_cases

HOUR = timedelta(hours=1)
#: An order that leaves no ties among different rows.
TOTAL = "ts, x, d, f, s, ok, j, loaded"
LATEST = "ts desc, x desc, d desc, f desc, s desc, ok desc, j desc, loaded desc"
AVERSE = ", ".join(f"{c} desc nulls last" for c in LATEST.replace(" desc", "").split(", "))


@dataclass(frozen=True)
class Case:
    """A view, the leaves it reads, and whether it has an interval form."""

    name: str
    sql: str
    leaves: tuple[Leaf, ...]
    entities: tuple[str, ...] = ("k",)
    formed: bool = True
    options: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case(
        "read-time parts that are scalar subqueries, beside a merged subquery",
        "with a as (select k, sum(x) as sx from events group by k) select a.k, sx, "
        "epoch(now() - (select max(ts) from events)) as since, "
        "epoch(now() - (select max(ts) from events e where e.k = a.k)) as own from a",
        (LATE,),
    ),
    Case(
        "a read-time part that is a scalar subquery, of rows",
        "select e.k, e.x, epoch(now() - (select max(t.ts) from trips t)) as since "
        f"from events e qualify row_number() over (partition by e.k order by {LATEST}) = 1",
        (LATE, TRIPS),
    ),
    Case(
        "a lag that looks ahead, by a number and by a column",
        "select k, sum(p) as p, sum(q) as q from (select k, "
        f"lag(x, -1) over (partition by k order by {TOTAL}) as p, "
        f"lag(x, j - 1) over (partition by k order by {TOTAL}) as q from events) as e group by k",
        (EVENTS,),
    ),
    Case(
        "windows over groups, partitioned by aggregates",
        "select k, max(r) as r from (select k, j, row_number() over (partition by count(*) "
        "order by k, j) as r from events group by k, j) as g group by k",
        (EVENTS,),
    ),
    Case(
        "inner join of two streams",
        "select e.k, count(*) as n, sum(t.delay) as d from events e join trips t on t.k = e.k "
        "and t.ts <= e.ts where e.ts > now() - interval '6' hour group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "inner join with the version of now",
        "select e.k, count(*) as n, sum(v.price) as p, max(v.plan) as plan from events e "
        "join versions v on v.k = e.k where e.ts > now() - interval '6' hour group by e.k",
        (LATE, VERSIONS),
    ),
    Case(
        "left join with the version of the event",
        "select e.k, count(*) as n, count(v.k) as m, sum(v.price) as p from events e "
        "left join versions v on v.k = e.k and v.since <= e.ts and (v.until is null or v.until > e.ts) "
        "where e.ts > now() - interval '6' hour group by e.k",
        (EVENTS, KEPT_VERSIONS),
    ),
    Case(
        "left join of two streams, floats and extremes",
        "select e.k, count(*) as n, count(t.k) as m, avg(e.f) as f, max(t.delay) as d "
        "from events e left join trips t on t.k = e.k and t.ts > e.ts group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "left join with the clock in ON",
        "select d.k, count(e.k) as n, sum(e.x) as sx from dims d left join events e "
        "on e.k = d.k and e.ts > now() - interval '1' hour group by d.k",
        (DIMS, LATE),
    ),
    Case(
        "left join with a change log",
        "select e.k, count(*) as n, sum(c.amount) as a from events e left join changes c "
        "on c.k = e.k group by e.k",
        (EVENTS, CHANGES),
    ),
    Case(
        "EXISTS",
        "select e.k, count(*) as n, sum(e.x) as sx from events e where exists "
        "(select 1 from trips t where t.k = e.k and t.ts < e.ts and t.delay > 0) group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "NOT EXISTS",
        "select e.k, count(*) as n, sum(e.x) as sx from events e where not exists "
        "(select 1 from trips t where t.k = e.k and t.ts > e.ts) "
        "and e.ts > now() - interval '6' hour group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "EXISTS of a star, of one table's star, and FROM first",
        "select e.k, count(*) as n, sum(e.x) as sx from events e "
        "where exists (select * from trips t where t.k = e.k and t.ts < e.ts) "
        "and exists (select t.* from (select k, delay from trips where delay > 0) t where t.k = e.k) "
        "and not exists (from trips t where t.k = e.k and t.delay > e.x limit 1) group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "EXISTS of a star under DISTINCT, and of one less a column",
        "select e.k, count(*) as n from events e where exists (select distinct * from trips t "
        "where t.k = e.k and t.delay > e.x) and not exists (select * exclude (delay) from trips t "
        "where t.k = e.k and t.ts > e.ts) group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "NOT EXISTS of a star, in the last hour",
        "select e.k, count(*) as n, sum(e.x) as sx from events e where not exists (select * "
        "from trips t where t.k = e.k and t.ts > now() - interval '1' hour order by t.ts limit 1) "
        "group by e.k",
        (LATE, TRIPS),
    ),
    Case(
        "one name for two tables",
        "select e.k, count(*) as n, sum(e.x) as sx from events e where exists "
        "(select 1 from (select e.k, e.x from events e where e.x > 0) o where o.k = e.k and o.x < e.x) "
        "and e.ts > now() - interval '6' hour group by e.k",
        (EVENTS,),
    ),
    Case(
        "one table under two models",
        "select e.k, count(*) as n, max(e.x) as mx from (select * from events) e where e.ts = "
        "(select max(o.ts) from (select * from events) o where o.k = e.k) group by e.k",
        (EVENTS,),
    ),
    Case(
        "a union under its table's name",
        "select k, count(*) as n, sum(x) as sx from (select k, x, ts from events union all "
        "select k, delay, ts from trips) events where ts > now() - interval '3' hour group by k",
        (EVENTS, TRIPS),
    ),
    Case(
        "a CTE under its table's name",
        "with events as (select * from events where x > 0) select k, count(*) as n, sum(x) as sx "
        "from events where ts > now() - interval '6' hour group by k",
        (LATE,),
    ),
    Case(
        "a CTE that hides a table in one place only",
        "with a as (with Events as (select k, x from events where x > 2) select k, max(x) as mx "
        "from events group by k), b as (select k, count(*) as n from events "
        "where ts > now() - interval '6' hour group by k) "
        "select b.k, b.n, a.mx from b left join a on a.k = b.k",
        (EVENTS,),
    ),
    Case(
        "a CTE that another one of its name is made of",
        "with a as (select k, ts, x from events), c as (with a as (select k, ts, x + 1 as x from a) "
        "select * from a) select c.k, sum(c.x) as sx, count(*) as n from c "
        "where c.ts > now() - interval '6' hour group by c.k",
        (EVENTS,),
    ),
    Case(
        "IN and NOT IN",
        "select e.k, count(*) as n from events e where e.k in (select k from versions where price > 0) "
        "and e.x not in (select delay from trips where delay > 3) group by e.k",
        (LATE, VERSIONS, TRIPS),
    ),
    Case(
        "NOT IN with nulls",
        "select e.k, count(*) as n from events e where e.x not in "
        "(select delay from trips where ts > now() - interval '1' hour) group by e.k",
        (EVENTS, TRIPS),
    ),
    Case(
        "semi and anti joins",
        "select e.k, count(*) as n from events e semi join versions v on v.k = e.k "
        "anti join trips t on t.k = e.k and t.delay = e.x group by e.k",
        (LATE, VERSIONS, TRIPS),
    ),
    Case(
        "scalar subqueries",
        "select d.k, (select count(*) from events e where e.k = d.k) as n, "
        "(select sum(e.x) from events e where e.k = d.k and e.ts > now() - interval '1' hour) as sx, "
        "(select max(price) from versions) as dear from dims d",
        (DIMS, LATE, VERSIONS),
    ),
    Case(
        "a scalar subquery in WHERE",
        "select e.k, count(*) as n from events e where e.x > (select avg(x) from events f "
        "where f.k = e.k) group by e.k",
        (EVENTS,),
    ),
    Case(
        "the last row of another stream, by LIMIT 1",
        f"select d.k, (select x from events e where e.k = d.k order by {AVERSE} limit 1) as x from dims d",
        (DIMS, EVENTS),
    ),
    Case(
        "a constant out of the first row, by LIMIT 1",
        "select d.k, (select 5 from events e where e.k = d.k order by ts limit 1) as five from dims d",
        (DIMS, EVENTS),
    ),
    Case(
        "constants beside what a LIMIT keeps",
        "select k, count(*) as c, max(nine) as nine from (select k, 9 as nine, -1 as less, "
        f"null as nothing from events order by {TOTAL} limit 5) q group by k",
        (EVENTS,),
        formed=False,
    ),
    Case(
        "join of two aggregates",
        "with a as (select k, count(*) as n, sum(x) as sx from events "
        "where ts > now() - interval '6' hour group by k), "
        "b as (select k, count(*) as m, max(delay) as d from trips group by k) "
        "select a.k, a.n, a.sx, b.m, b.d, a.n * 1.0 / b.m as r from a join b on a.k = b.k",
        (LATE, TRIPS),
    ),
    Case(
        "left join of two aggregates",
        "with a as (select k, count(*) as n, avg(f) as f from events "
        "where ts > now() - interval '6' hour group by k), "
        "b as (select k, count(*) as m from trips where ts > now() - interval '1' hour group by k) "
        "select a.k, a.n, a.f, coalesce(b.m, 0) as m from a left join b using (k)",
        (EVENTS, TRIPS),
    ),
    Case(
        "a projection of an aggregate",
        "with a as (select k, count(*) as n, sum(x) as sx from events "
        "where ts > now() - interval '6' hour group by k) "
        "select k, n, sx * 1.0 / n as mean from a where n > 1",
        (LATE,),
    ),
    Case(
        "an aggregate of an aggregate",
        "select k, max(n) as most, count(*) as hours, avg(sx) as mean from "
        "(select k, s, count(*) as n, sum(x) as sx from events "
        "where ts > now() - interval '6' hour group by k, s) as g group by k",
        (LATE,),
    ),
    Case(
        "an aggregate without GROUP BY",
        "select d.k, t.n, t.sx from dims d cross join (select count(*) as n, sum(x) as sx from events "
        "where ts > now() - interval '1' hour) as t",
        (DIMS, LATE),
    ),
    Case(
        "a share of the whole",
        "with per as (select k, count(*) as n from events "
        "where ts > now() - interval '6' hour group by k) select p.k, p.n * 1.0 / t.total as share "
        "from per p cross join (select sum(n) as total from per) as t",
        (EVENTS,),
    ),
    Case(
        "UNION ALL and UNION",
        "select k, count(*) as n, sum(x) as sx from (select k, ts, x from events "
        "union all select k, ts, delay from trips) as u where ts > now() - interval '6' hour group by k",
        (LATE, TRIPS),
    ),
    Case(
        "UNION",
        "select k, count(*) as n from (select k, s from events where ts > now() - interval '1' hour "
        "union select k, plan from versions) as u group by k",
        (EVENTS, VERSIONS),
    ),
    Case(
        "EXCEPT and INTERSECT",
        "select k, count(*) as n from (select k, x from events except select k, delay from trips "
        "intersect select k, delay from trips where ts > now() - interval '6' hour) as u group by k",
        (EVENTS, TRIPS),
    ),
    Case(
        "DISTINCT",
        "select k, count(*) as n, sum(x) as sx from (select distinct k, x, s from events "
        "where ts > now() - interval '6' hour) as u group by k",
        (LATE,),
    ),
    Case(
        "a union of views of one entity",
        "select k, count(*) as n from events group by k having count(*) > 20 "
        "union all select k, 0 as n from versions where plan = 'none'",
        (EVENTS, VERSIONS),
    ),
    Case(
        "OR of clocks and conditions",
        "select k, count(*) as n, sum(x) as sx from events where ts > now() - interval '1' hour "
        "or (ok and ts > now() - interval '6' hour) group by k",
        (LATE,),
    ),
    Case(
        "CASE on the clock",
        "select k, sum(case when ts > now() - interval '1' hour then x else -x end) as s, "
        "count(case when ts <= now() - interval '6' hour then 1 end) as old from events group by k",
        (EVENTS,),
    ),
    Case(
        "a bucket by the clock",
        "select k, count(*) as n, max(size) as most from (select k, case when ts > now() - "
        "interval '1' hour then 'new' else 'old' end as b, count(*) as size from events group by k, b) "
        "as g group by k",
        (EVENTS,),
    ),
    Case(
        "HAVING on the clock",
        "select k, count(*) as n, max(ts) as t from events group by k "
        "having max(ts) > now() - interval '1' hour",
        (EVENTS,),
    ),
    Case(
        "NOT of a clock",
        "select k, count(*) as n from events where not (ts > now() - interval '1' hour) group by k",
        (EVENTS,),
    ),
    Case(
        "columns known later",
        "select k, count(*) as n, count(ended) as done, sum(delay) as d, "
        "count(*) filter (where ended is null) as open_, "
        "max(ts) filter (where delay > 1) as t from trips group by k",
        (TRIPS,),
    ),
    Case(
        "a change log",
        "select k, count(*) as n, sum(amount) as a, max(ts) as t from changes group by k",
        (CHANGES,),
    ),
    Case(
        "the latest row by QUALIFY",
        f"select k, x, s, ts as seen from events qualify row_number() over (partition by k order by {AVERSE}) = 1",
        (EVENTS,),
    ),
    Case(
        "the latest row of late ones, by a subquery's rank",
        "select k, x, s, ts as seen from (select *, row_number() over (partition by k "
        f"order by {AVERSE}) as n from events) as e where n = 1",
        (LATE,),
    ),
    Case(
        "the latest row in a window",
        "select k, x, s, ts as seen from events where ts > now() - interval '1' hour "
        f"qualify row_number() over (partition by k order by {AVERSE}) = 1",
        (EVENTS,),
    ),
    Case(
        "the least row, not the latest",
        f"select k, x, ts as seen from events qualify row_number() over (partition by k order by x, {TOTAL}) = 1",
        (EVENTS,),
    ),
    Case(
        "the last three rows",
        "select k, count(*) as n, sum(x) as sx, max(f) as f from (select k, x, f from events "
        f"qualify row_number() over (partition by k order by {AVERSE}) <= 3) as e group by k",
        (EVENTS,),
    ),
    Case(
        "the last three rows in a window",
        "select k, count(*) as n, sum(x) as sx from (select k, x, f, row_number() over "
        f"(partition by k order by {AVERSE}) as r from events where ts > now() - interval '6' hour) as e "
        "where r <= 3 group by k",
        (EVENTS,),
    ),
    Case(
        "the last three late rows",
        "select k, count(*) as n, sum(x) as sx from (select k, x from events "
        f"qualify row_number() over (partition by k order by {AVERSE}) <= 3) as e group by k",
        (LATE,),
    ),
    Case(
        "gaps between events",
        "select k, count(*) as n, avg(epoch(ts - before)) as gap, max(x - px) as jump from (select k, "
        f"ts, x, lag(ts) over (partition by k order by {TOTAL}) as before, "
        f"lag(x) over (partition by k order by {TOTAL}) as px from events) as e group by k",
        (EVENTS,),
    ),
    Case(
        "gaps between late events",
        "select k, count(*) as n, max(x - px) as jump from (select k, x, "
        f"lag(x) over (partition by k order by {TOTAL}) as px from events) as e group by k",
        (LATE,),
    ),
    Case(
        "sessions",
        "with e as (select k, ts, x, case when epoch(ts - lag(ts) over (partition by k order by ts)) "
        "<= 1800 then 0 else 1 end as fresh from events), s as (select k, ts, x, sum(fresh) over "
        "(partition by k order by ts) as session from e) select k, count(distinct session) as sessions, "
        "max(session) as m, count(*) as n from s group by k",
        (EVENTS,),
    ),
    Case(
        "the size of the last session",
        "with e as (select k, ts, x, case when epoch(ts - lag(ts) over (partition by k order by ts)) "
        "<= 1800 then 0 else 1 end as fresh from events), s as (select k, ts, x, sum(fresh) over "
        "(partition by k order by ts) as session from e), g as (select k, session, count(*) as n, "
        "sum(x) as sx from s group by k, session) select k, n, sx from g "
        "qualify row_number() over (partition by k order by session desc) = 1",
        (EVENTS,),
    ),
    Case(
        "row-count windows",
        f"select k, max(r) as most, avg(r) as mean from (select k, sum(x) over (partition by k order by "
        f"{TOTAL} rows between 2 preceding and current row) as r from events) as e group by k",
        (EVENTS,),
    ),
    Case(
        "lists over row-count windows",
        "select k, max(l) as l, min(t) as t from (select k, list(x) filter (where x > 1) over w as l, "
        "string_agg(s, ',') over w as t from events where ts > now() - interval '6' hour window w as "
        f"(partition by k order by {TOTAL} rows between 2 preceding and current row)) as e group by k",
        (EVENTS,),
    ),
    Case(
        "lists that are sorted in the end",
        "select k, list_sort(list(x)) as up, list_reverse_sort(list(distinct x) filter (where ok)) as "
        "down from events where ts > now() - interval '6' hour group by k",
        (LATE,),
    ),
    Case(
        "lists whose order does not matter",
        "select k, list_max(list(x)) as most, len(list(distinct x)) as kinds, "
        "list_sort(list_distinct(list(x) filter (where ok))) as some from events "
        "where ts > now() - interval '6' hour group by k",
        (LATE,),
    ),
    Case(
        "weighted means, quantifiers, and functions of text and JSON",
        "select k, weighted_avg(x, x + 1) as w, count(*) filter (where x <> all([1, null, 3])) as n, "
        "count(*) filter (where x = any([1, 2])) as m, max(octet_length(encode(k))) as octets, "
        "min(base64(encode(k))) as coded, bool_or(json_valid(k)) as valid, "
        "bool_and(json_contains('[1, 2]', x::varchar)) as contained, "
        "bool_or(json_exists('{\"a\": 1}'::json, '$.a')) as there from events "
        "where ts > now() - interval '6' hour group by k",
        (LATE,),
    ),
    Case(
        "ranks and leads over rows that leave",
        f"select k, max(r) as r, sum(l) as l from (select k, rank() over (partition by k order by x) as r, "
        f"lead(x) over (partition by k order by {TOTAL}) as l from events "
        "where ts > now() - interval '1' hour) as e group by k",
        (EVENTS,),
    ),
    Case(
        "last join by ASOF",
        "select e.k, count(*) as n, sum(v.price) as p from events e asof join versions v "
        "on e.k = v.k and e.ts >= v.since where e.ts > now() - interval '6' hour group by e.k",
        (EVENTS, KEPT_VERSIONS),
    ),
    Case(
        "last join by ASOF LEFT of late rows",
        "select e.k, e.ts, e.x, v.price from events e asof left join versions v "
        "on e.k = v.k and e.ts >= v.since",
        (EVENTS, KEPT_VERSIONS),
        options={"event_time": "ts"},
    ),
    Case(
        "arg_max and ordered aggregates",
        f"select k, arg_max(x, ts) filter (where ok) as ax, first(x order by {TOTAL}) as fx, "
        f"last(s order by {TOTAL}) as ls, list(x order by x) as xs, string_agg(s, ',' order by s) as ss, "
        "median(x) as mx, quantile_cont(f, 0.25) as q, count(distinct x) as nd, "
        "kurtosis(x) as kx from events where ts > now() - interval '6' hour group by k",
        (LATE,),
    ),
    Case(
        "a history of joined rows",
        "select e.k, e.ts, e.x, v.plan, v.price from events e join versions v on v.k = e.k "
        "and v.since <= e.ts",
        (EVENTS, KEPT_VERSIONS),
        options={"event_time": "ts", "tie_break": ("x", "plan", "price")},
    ),
    Case(
        "versions of now, and their count",
        "select k, plan, price, count(*) over (partition by plan) as mates from versions "
        "qualify row_number() over (partition by k order by price, plan, since) = 1",
        (OPEN_VERSIONS,),
    ),
    Case(
        "dates and naive times",
        "select d.k, count(*) as n, sum(l.x) as sx from days d join local l on l.k = d.k "
        "where l.ts > now() - interval '6' hour group by d.k",
        (DAYS, LOCAL),
    ),
    Case(
        "boundary exclusive in all of it",
        "select e.k, count(*) as n, count(t.k) as m from events e left join trips t on t.k = e.k "
        "and t.ts = e.ts where e.ts > now() - interval '1' hour group by e.k",
        (LATE, TRIPS),
        options={"boundary": "exclusive"},
    ),
    Case(
        "calendar windows",
        "select k, count(*) as n, sum(x) filter (where ts > date_trunc('hour', now())) as h, "
        "max(f) filter (where ts < date_trunc('day', now())) as y, "
        "count(*) filter (where ts >= date_trunc('week', now()) - interval '1' day) as w "
        "from events where ts >= date_trunc('month', now()) group by k",
        (LATE,),
    ),
    Case(
        "calendar windows over dates",
        "select k, count(*) as n, max(x) filter (where day < current_date) as m "
        "from days where day >= current_date - 7 group by k",
        (DAYS,),
    ),
    Case(
        "ages as intervals and as seconds",
        "select k, count(*) filter (where now() - ts < interval '1 hour') as a, "
        "count(*) filter (where epoch(now() - ts) <= 21600) as b, "
        "count(*) filter (where ts > now() - 4 * interval '15 minutes') as c from events group by k",
        (LATE,),
    ),
    Case(
        "a month that slides",
        "select k, count(*) as n from events where ts > now() - interval '1' month group by k",
        (EVENTS,),
        formed=False,
    ),
    Case(
        "aggregates over the clock alone",
        "select k, count(*) as n, epoch(max(now()) - max(ts)) as gap, min(current_date) as day, "
        "count(*) filter (where extract(hour from now()) > 3) as late from events group by k",
        (LATE,),
        formed=False,
    ),
    Case(
        "aggregates over the clock alone, over a CTE and in a subquery",
        "with e as (select k, ts from events), g as (select k, max(date_trunc('week', now())) as w "
        "from e group by k) select g.k, g.w, (select count(*) filter (where month(now()) > 0) "
        "from versions as v where v.k = g.k) as n from g",
        (EVENTS, VERSIONS),
        formed=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_variant_gives_what_the_oracle_gives(case: Case) -> None:
    tables = {leaf.name: make_rows(leaf, 3) for leaf in case.leaves}
    widths = (HOUR, 6 * HOUR)
    spine = make_spine(list(tables.values()), widths, len(case.entities), 3, size=24)
    name = "".join(c if c.isalnum() else "_" for c in case.name)
    view = FeatureView(name, case.sql, case.entities, **case.options)
    world = make_world(view, case.leaves, tables, spine)
    assert (world.compiled.why_no_form == "") == case.formed, world.compiled.why_no_form
    world.check_point_in_time()
    times = instants_of(list(tables.values())) or [BASE + n * HOUR for n in range(9)]
    world.check_as_of([times[len(times) // 2], times[-1] + US, times[3] + 4 * QUARTER])


def test_the_sql_is_the_same_in_every_process() -> None:
    view = FeatureView("v", CASES[0].sql, ("k",))
    first, again = (compile_view(view, CASES[0].leaves).point_in_time() for _ in range(2))
    assert first == again
