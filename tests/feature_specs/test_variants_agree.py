"""The one law: point-in-time by every lowering, and as-of, give what the oracle gives."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import (
    BASE,
    BILLS,
    CHANGES,
    DAYS,
    DIMS,
    EVENTS,
    KEPT_VERSIONS,
    LATE,
    LOCAL,
    OPEN_VERSIONS,
    QUARTER,
    SEEN_AT_EVENT,
    TRIPS,
    US,
    VERSIONS,
    instants_of,
    make_rows,
    make_spine,
)

pytestmark = pytest.mark.many_cases

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """A view, the leaves it reads, and what lowerings must at least be valid for it."""

    name: str
    sql: str
    leaves: tuple[Leaf, ...]
    entities: tuple[str, ...] = ("k",)
    widths: tuple[timedelta, ...] = (HOUR, 6 * HOUR)
    valid: frozenset[str] = frozenset()
    visible: bool = False
    lag: timedelta = timedelta()
    options: dict[str, Any] = field(default_factory=dict)


ALL = "count(*) as n, count(x) as nx, sum(x) as sx, sum(d) as sd, avg(x) as ax, avg(d) as ad"
FLOATING = "sum(f) as sf, avg(f) as af, stddev_samp(f) as df, var_pop(f) as vf"
EXTREMES = "min(x) as lo, max(x) as hi, min(s) as first_s, max(f) as top, max(ts) as latest"
EXACT = frozenset({"cumulative", "stab", "decorrelated"})
FRAMED = frozenset({"frames", "stab", "decorrelated"})
STAB = frozenset({"stab", "decorrelated"})
LATEST = frozenset({"latest", "decorrelated"})
AMOUNT = "cast(getvariable('forebay_request_amount') as double)"

CASES = [
    Case(
        "window open at its far edge",
        f"select k, {ALL} from events where ts > current_timestamp - interval '1' hour group by k",
        (EVENTS,),
        valid=EXACT | FRAMED,
    ),
    Case(
        "window closed at its far edge",
        f"select k, {ALL} from events where ts >= current_timestamp - interval '6' hour group by k",
        (EVENTS,),
        valid=EXACT | FRAMED,
    ),
    Case(
        "window written the other way round",
        "select k, count(*) as n, sum(x) as sx from events "
        "where current_timestamp - interval 1 hour <= ts and now() < ts + interval 6 hours "
        "group by k",
        (EVENTS,),
        valid=EXACT,
    ),
    Case(
        "floats over a window",
        f"select k, {FLOATING} from events where ts > now() - interval '6 hours' group by k",
        (EVENTS,),
        valid=FRAMED,
    ),
    Case(
        "extremes over a window",
        f"select k, {EXTREMES} from events where ts > now() - interval '6 hours' group by k",
        (EVENTS,),
        valid=FRAMED,
    ),
    Case(
        "distinct over a window",
        "select k, count(distinct x) as n, sum(distinct x) as sx, median(x) as m, "
        "count(distinct s) filter (where ts > now() - interval '1' hour) as ns "
        "from events where ts > now() - interval '6 hours' group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "variance of integers",
        "select k, stddev_samp(x) as s, var_samp(x) as v, stddev_pop(x) as sp, variance(x) as v2, "
        "stddev(d) as sd from events where ts > now() - interval '6 hours' group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "several windows in FILTER",
        "select k, count(*) filter (where ts > current_timestamp - interval '1' hour) as n1, "
        "sum(x) filter (where ts >= current_timestamp - interval '6' hour and ok) as s6, "
        "max(f) filter (where ts > current_timestamp - interval '15' minute) as top, "
        "avg(d) filter (where x > 0) as ad, count(*) as n, "
        "count(*) filter (where x > 1 and ts > now() - interval '6' hour) / "
        "nullif(count(x) filter (where ts > now() - interval '6' hour), 0) as share "
        "from events group by k",
        (EVENTS,),
        widths=(HOUR, 6 * HOUR, QUARTER),
        valid=STAB,
    ),
    Case(
        "windows in FILTER within a window in WHERE",
        "select k, sum(x) filter (where ts > now() - interval '1' hour) as s1, sum(x) as s6, "
        "max(x) filter (where ts > now() - interval '1' hour) as m1, max(x) as m6 "
        "from events where ts > now() - interval '6' hour group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "a window that ended a while ago",
        "select k, count(*) as n, sum(x) as sx, min(f) as lo from events "
        "where ts <= now() - interval '1' hour and ts > now() - interval '6' hour group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "windows in FILTER that ended a while ago",
        "select k, count(*) as n, sum(x) filter (where ts < now() - interval '1' hour) as before, "
        "avg(f) filter (where ts between now() - interval '6' hour and now() - interval '1' hour) "
        "as between_ from events group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "BETWEEN",
        "select k, count(*) as n, sum(f) as s from events "
        "where ts between current_timestamp - interval '6 hours' and current_timestamp group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case("lifetime", f"select k, {ALL}, {EXTREMES} from events group by k", (EVENTS,), valid=STAB),
    Case(
        "lifetime of floats", f"select k, {FLOATING} from events group by k", (EVENTS,), valid=STAB
    ),
    Case(
        "late rows, some later than the window",
        f"select k, {ALL} from events where ts > current_timestamp - interval '1' hour group by k",
        (LATE,),
        valid=EXACT,
    ),
    Case(
        "late floats and extremes",
        f"select k, {FLOATING}, {EXTREMES} from events "
        "where ts > current_timestamp - interval '6' hour group by k",
        (LATE,),
        valid=STAB,
    ),
    Case(
        "late rows in FILTER",
        "select k, count(*) as n, sum(x) filter (where ts > now() - interval '1' hour) as s1, "
        "sum(x) filter (where ts >= now() - interval '6' hour and s = 'p') as s6, "
        "sum(f) filter (where ts > now() - interval '6' hour) as f6 from events group by k",
        (LATE,),
        valid=STAB,
    ),
    Case(
        "a window on the arrival",
        "select k, count(*) as n, sum(x) as sx, max(f) as hi from events "
        "where loaded > now() - interval '6' hour group by k",
        (LATE,),
        valid=STAB,
    ),
    Case(
        "a window on a time that may be null",
        "select k, count(*) as n, sum(x) filter (where loaded > now() - interval '1' hour) as s, "
        "max(x) filter (where loaded <= now() - interval '1' hour) as old from events group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "lifetime of late rows",
        f"select k, {ALL}, {EXTREMES} from events group by k",
        (LATE,),
        valid=STAB,
    ),
    Case(
        "arrival left out of account",
        f"select k, {ALL}, {FLOATING} from events where ts > now() - interval '6' hour group by k",
        (SEEN_AT_EVENT,),
        valid=STAB,
    ),
    Case(
        "exclusive boundary",
        f"select k, {ALL}, {FLOATING}, {EXTREMES} from events "
        "where ts >= now() - interval '1' hour group by k",
        (EVENTS,),
        valid=STAB,
        options={"boundary": "exclusive"},
    ),
    Case(
        "exclusive boundary with arrival",
        f"select k, {ALL}, {EXTREMES} from events where ts > now() - interval '1' hour group by k",
        (LATE,),
        valid=STAB,
        options={"boundary": "exclusive"},
    ),
    Case(
        "composite key",
        f"select j, k, {ALL}, {FLOATING}, {EXTREMES} from events "
        "where ts > now() - interval '6' hour group by k, j",
        (EVENTS,),
        entities=("k", "j"),
        valid=STAB,
    ),
    Case(
        "a key that is an expression",
        "select upper(k) as k, count(*) as n, sum(x) as sx from events "
        "where ts > now() - interval '6' hour group by upper(k)",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "HAVING",
        "select k, count(*) as n, sum(x) as sx from events "
        "where ts > now() - interval '6' hour group by k having count(*) > 2 and sum(x) > 1",
        (EVENTS,),
        valid=EXACT,
    ),
    Case(
        "expressions over aggregates",
        "select k, coalesce(sum(x), 0) as s, sum(x) * 1.0 / nullif(count(*), 0) as r, "
        "case when max(x) > 5 then 'big' else 'small' end as size, "
        "coalesce(sum(x) filter (where ts > now() - interval '1' hour), -1) as s1 "
        "from events where ts > now() - interval '6' hour group by k",
        (EVENTS,),
        valid=STAB,
    ),
    Case(
        "inner join with a static leaf",
        "select e.k, count(*) as n, sum(e.x * d.weight) as sx, min(d.region) as region "
        "from events as e join dims as d on d.k = e.k "
        "where e.ts > now() - interval '6' hour group by e.k",
        (EVENTS, DIMS),
        valid=STAB,
    ),
    Case(
        "left join with a static leaf",
        "select e.k, count(*) as n, count(d.k) as m, sum(e.x * coalesce(d.weight, 1)) as sx, "
        "count(*) filter (where d.region = 'n') as north from events e "
        "left join dims d using (k) where e.ts > now() - interval '6' hour group by e.k",
        (LATE, DIMS),
        valid=STAB,
    ),
    Case(
        "a static leaf alone",
        "select k, region, weight * 2 as w from dims",
        (DIMS,),
        valid=STAB,
    ),
    Case(
        "history",
        "select k, ts, x, f, s from events",
        (EVENTS,),
        valid=LATEST,
        options={"event_time": "ts"},
    ),
    Case(
        "history with tie_break and ttl",
        "select k, ts, x, f, s, ok from events where x is not null",
        (EVENTS,),
        valid=LATEST,
        options={"event_time": "ts", "tie_break": ("x", "s"), "ttl": HOUR},
    ),
    Case(
        "history of late rows",
        "select k, ts, x, f, s from events",
        (LATE,),
        valid=frozenset({"latest"}),
        visible=True,
        options={"event_time": "ts"},
    ),
    Case(
        "history of late rows with tie_break, ttl and an exclusive boundary",
        "select k, ts, x, f, s from events",
        (LATE,),
        valid=frozenset({"latest"}),
        visible=True,
        options={"event_time": "ts", "tie_break": ("s",), "ttl": 6 * HOUR, "boundary": "exclusive"},
    ),
    Case(
        "history with a composite key and an exclusive boundary",
        "select k, j, ts, x, f from events",
        (EVENTS,),
        entities=("k", "j"),
        valid=LATEST,
        options={"event_time": "ts", "boundary": "exclusive"},
    ),
    Case(
        "history in a window",
        "select k, ts, x, s from events where ts > now() - interval '1' hour",
        (EVENTS,),
        valid=STAB,
        options={"event_time": "ts"},
    ),
    Case(
        "history delayed",
        "select k, ts, x, s from events where ts <= now() - interval '1' hour",
        (EVENTS,),
        valid=frozenset({"latest"}),
        options={"event_time": "ts"},
    ),
    Case(
        "history joined with a static leaf",
        "select e.k, e.ts, e.x, d.region from events e left join dims d on e.k = d.k",
        (EVENTS, DIMS),
        valid=LATEST,
        options={"event_time": "ts"},
    ),
    Case(
        "read-time parts of a history",
        f"select k, ts, x, epoch(current_timestamp - ts) as age, x * {AMOUNT} as priced, "
        f"coalesce({AMOUNT}, 1.0) as sent from events",
        (EVENTS,),
        valid=LATEST,
        options={"event_time": "ts", "ttl": 6 * HOUR},
    ),
    Case(
        "read-time parts over aggregates",
        f"select k, count(*) as n, epoch(current_timestamp - max(ts)) as since, "
        f"sum(x) / {AMOUNT} as ratio, coalesce({AMOUNT}, 0.0) as sent, coalesce(sum(x), 0) as s "
        "from events where ts > current_timestamp - interval '6' hour group by k",
        (LATE,),
        valid=STAB,
    ),
    Case(
        "read-time parts with a lag",
        "select k, count(*) as n, sum(x) as sx, epoch(now() - max(ts)) as since "
        "from events where ts > current_timestamp - interval '1' hour group by k",
        (LATE,),
        valid=STAB,
        lag=QUARTER,
    ),
    Case(
        "a history with a lag",
        "select k, ts, x, s, epoch(now() - ts) as age from events",
        (EVENTS,),
        valid=LATEST,
        lag=timedelta(minutes=30),
        options={"event_time": "ts", "ttl": 6 * HOUR},
    ),
    Case(
        "calendar window",
        "select k, count(*) as n, sum(x) as sx from bills "
        "where ts > current_timestamp - interval '1' month group by k",
        (BILLS,),
        widths=(timedelta(days=29), timedelta(days=31)),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "calendar day",
        "select k, count(*) as n, sum(x) as sx from events where ts >= current_date group by k",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "slowly changing versions",
        "select k, count(*) as n, sum(price) as p, count(until) as closed from versions group by k",
        (VERSIONS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "slowly changing versions, closed ones kept",
        "select k, count(*) as n, count(*) filter (where until is null) as open_, "
        "max(until) as last_closed from versions group by k",
        (KEPT_VERSIONS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "slowly changing versions with a sentinel",
        "select k, count(*) as n, count(*) filter (where until is null) as open_, "
        "max(plan) as plan from versions group by k",
        (OPEN_VERSIONS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "events joined with slowly changing versions",
        "select e.k, count(*) as n, sum(v.price) as p, count(distinct v.plan) as plans "
        "from events e left join versions v on v.k = e.k and v.since <= e.ts "
        "where e.ts > now() - interval '6' hour group by e.k",
        (LATE, VERSIONS),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "a column known later",
        "select k, count(*) as n, count(ended) as done, avg(delay) as late, "
        "count(*) filter (where ended is null) as under_way from trips "
        "where ts > now() - interval '6' hour group by k",
        (TRIPS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "a leaf with a column known later, which is not read",
        "select k, count(*) as n, max(ts) as latest from trips group by k",
        (TRIPS,),
        valid=STAB,
    ),
    Case(
        "a change log",
        "select k, count(*) as n, sum(amount) as total from changes group by k",
        (CHANGES,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "a date",
        "select k, count(*) as n, sum(x) as sx from days group by k",
        (DAYS,),
        valid=STAB,
    ),
    Case(
        "a naive timestamp of New York",
        "select k, count(*) as n, sum(x) as sx, max(x) as hi from local group by k",
        (LOCAL,),
        valid=STAB,
    ),
    Case(
        "UNION ALL",
        "select k, count(*) as n, sum(x) as sx from (select k, ts, x from events "
        "union all select k, ts, delay from trips) as u "
        "where ts > now() - interval '6' hour group by k",
        (LATE, TRIPS),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "CTE",
        "with good as (select k, ts, x from events where ok) select k, count(*) as n, "
        "sum(x) as sx from good where ts > now() - interval '6' hour group by k",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "a CTE read twice",
        "with per as (select k, count(*) as n from events "
        "where ts > now() - interval '6' hour group by k) "
        "select p.k, p.n, p.n * 1.0 / t.total as share from per p "
        "cross join (select sum(n) as total from per) as t",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "NOT EXISTS and a scalar subquery",
        "select e.k, count(*) as n, (select count(*) from trips t where t.k = e.k) as trips "
        "from events e where not exists (select 1 from trips t where t.k = e.k and t.ts > e.ts) "
        "group by e.k",
        (EVENTS, TRIPS),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "the clock as a quantity inside an aggregate",
        "select k, avg(epoch(current_timestamp - ts)) as mean_age, "
        "sum(x * exp(-epoch(current_timestamp - ts) / 3600)) as decayed from events group by k",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "OR of two windows",
        "select k, count(*) as n, sum(x) as sx from events where ts > now() - interval '1' hour "
        "or (ok and ts > now() - interval '6' hour) group by k",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "CASE with the clock",
        "select k, sum(case when ts > now() - interval '1' hour then x else 0 end) as s, "
        "count(*) as n from events group by k",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
    Case(
        "DISTINCT rows below an aggregate",
        "select k, count(*) as n, sum(x) as sx from "
        "(select distinct k, x, ts from events) as u group by k",
        (EVENTS,),
        valid=frozenset({"decorrelated"}),
    ),
]


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_variant_gives_what_the_oracle_gives(case: Case, seed: int) -> None:
    tables = {leaf.name: make_rows(leaf, seed) for leaf in case.leaves}
    spine = make_spine(list(tables.values()), case.widths, len(case.entities), seed, size=30)
    view = FeatureView(re.sub(r"\W+", "_", case.name), case.sql, case.entities, **case.options)
    world = make_world(view, case.leaves, tables, spine, visible=case.visible, lag=case.lag)
    valid = set(world.check_point_in_time())
    assert case.valid & {"latest", "decorrelated"} <= valid
    instants = _instants(tables, case.widths, seed)
    world.check_online(instants[::4], case.lag)
    if not case.lag:
        world.check_as_of(instants)


def _instants(
    tables: dict[str, list[Row]], widths: Sequence[timedelta], seed: int
) -> list[datetime]:
    rng = random.Random(seed)
    times = instants_of(list(tables.values())) or [BASE]
    picked = rng.sample(times, min(6, len(times)))
    edges = [t + w for t, w in zip(picked, [*widths, *widths], strict=False)]
    return [*picked, *edges, picked[0] - US, picked[-1] + US, BASE - timedelta(days=90)]
