"""range(), generate_series(), unnest() and json_each() in FROM, constant and beside their rows."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlglot import exp

from feature_specs.compile import compile_view
from feature_specs.compile.engines import Engine
from feature_specs.compile.proof.certify_bounds import certify_bounds
from feature_specs.errors import CompileError, UnsafeQueryError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row
from tests.feature_specs.test_algebra import HOUR, Case
from tests.feature_specs.worlds import (
    BASE,
    EVENTS,
    LATE,
    QUARTER,
    TRIPS,
    TZ,
    US,
    VERSIONS,
    instants_of,
    make_rows,
    make_spine,
)
from tests.lakehouse.builds import Build, random_batch

pytestmark = pytest.mark.many_cases

LISTS = Leaf(
    "lists",
    {"k": "VARCHAR", "ts": TZ, "x": "INTEGER", "l": "INTEGER[]", "doc": "JSON", "d": "STRUCT(a INTEGER)[]"},
    event_time="ts",
)  # fmt: skip
RECENT = "where e.ts > current_timestamp - interval '6' hour group by e.k"

CASES = [
    Case(
        "a range of constants",
        f"select e.k, sum(n) as s, count(*) as c from events e cross join range(7) as d(n) {RECENT}",
        (LATE,),
    ),
    Case(
        "a range first in FROM, by its alias",
        f"select e.k, sum(r) as s from range(1, 9, 3) r cross join events e {RECENT}",
        (EVENTS,),
    ),
    Case(
        "a range downwards, by the function's name",
        f"select e.k, sum(range) as s, max(d.range) as m from events e join range(5, 1, -2) d "
        f"on d.range > e.x {RECENT}",
        (EVENTS,),
    ),
    Case(
        "a range without an alias",
        f"select e.k, count(range) as s from events e left join range(3) on range = e.x {RECENT}",
        (EVENTS,),
    ),
    Case(
        "a range in subqueries and a CTE",
        "with d as (select * from range(3) t(n)) select e.k, count(*) as c, max(d.n) as m "
        "from events e join d on d.n >= e.x where exists (select 1 from range(2) r where r < d.n) "
        "and e.j in (select generate_series from generate_series(1, 2)) group by e.k",
        (EVENTS,),
    ),
    Case(
        "days of a calendar",
        "select v.k, sum(v.price) as p from versions v cross join "
        "generate_series(date '2024-02-27', date '2024-02-28', interval 1 day) as d(day) "
        "where d.day >= v.since at time zone 'UTC' group by v.k, d.day "
        "qualify row_number() over (partition by v.k order by d.day desc) = 1",
        (VERSIONS,),
    ),
    Case(
        "a range beside each row",
        f"select e.k, sum(n) as s, count(*) as c from events e, range(e.x) d(n) {RECENT}",
        (LATE,),
    ),
    Case(
        "a range beside each row, its column without a table",
        f"select e.k, sum(n) as s from events e, generate_series(1, x) d(n) {RECENT}",
        (EVENTS,),
    ),
    Case(
        "a range of a range",
        "select e.k, sum(m) as s from events e, range(e.x) d(n), range(d.n) as c(m) "
        f"{RECENT.replace('group', 'and m > 0 group')}",
        (EVENTS,),
    ),
    Case(
        "a range joined on a condition",
        f"select e.k, sum(n) as s from events e join range(e.x) d(n) on d.n > e.j {RECENT}",
        (EVENTS,),
    ),
    Case(
        "a range of two tables",
        "select e.k, count(*) as c from events e left join trips t on t.k = e.k and t.ts < e.ts, "
        f"generate_series(e.x, t.delay) d(n) {RECENT}",
        (EVENTS, TRIPS),
    ),
    Case(
        "a range of what is known later",
        "select k, count(*) as c, max(n) as m from trips t, range(t.delay) d(n) group by k",
        (TRIPS,),
    ),
    Case(
        "ranges below NOT EXISTS, DISTINCT and a join",
        "select q.k, count(*) as c from (select distinct e.k, n from events e, range(e.x) d(n)) q "
        "where not exists (select 1 from trips t, range(t.delay) g(m) where t.k = q.k and m > q.n) "
        "group by q.k",
        (EVENTS, TRIPS),
    ),
    Case(
        "an outer range beside each row",
        f"select e.k, count(n) as s, count(*) as c from events e left join range(e.x) d(n) on n > 1 {RECENT}",
        (EVENTS,),
        formed=False,
    ),
    Case(
        "a range up to a subquery's value",
        "select k, count(*) as c from events e cross join range((select max(x) from events)) d "
        "group by k",
        (EVENTS,),
        formed=False,
    ),
    Case(
        "days up to now",
        "select u.k, count(*) as days, count(e.x) as n from (select distinct k from events) u "
        "cross join generate_series(current_date - 3, current_date, interval 1 day) as d(day) "
        "left join events e on e.k = u.k and cast(e.ts as date) = d.day group by u.k",
        (EVENTS,),
        formed=False,
    ),
    Case(
        "a list beside each row",
        f"select e.k, sum(n) as s, count(*) as c from lists e, unnest(e.l) d(n) {RECENT}",
        (LISTS,),
    ),
    Case(
        "lists without an alias, and by one alone",
        "select e.k, sum(unnest.unnest) as s, sum(u) as t from lists e, unnest(e.l), unnest([1, x]) u "
        f"{RECENT}",
        (LISTS,),
    ),
    Case(
        "a list of structs",
        f"select e.k, sum(s.a) as s from lists e, unnest(e.d) as t(s) {RECENT}",
        (LISTS,),
    ),
    Case(
        "a lateral query of the row alone",
        "select e.k, sum(q.n) as s from lists e cross join lateral (select unnest(e.l) + e.x as n) q "
        f"{RECENT}",
        (LISTS,),
    ),
    Case(
        "a lateral query that reads a table",
        "select e.k, sum(q.n) as s from lists e cross join lateral "
        f"(select count(*) as n from lists f where f.k = e.k and f.ts < e.ts) q {RECENT}",
        (LISTS,),
        formed=False,
    ),
    Case(
        "members of a document",
        "select e.k, count(*) as c, max(j.key) as key, sum(try_cast(j.value as integer)) as s "
        f"from lists e, json_each(e.doc) j {RECENT}",
        (LISTS,),
    ),
    Case(
        "members of a document by names of one's own, twice, one without an alias",
        "select e.k, count(*) as c, max(d.q) as q, max(d.type) as t, max(json_tree.fullkey) as f "
        f"from lists e, json_each(doc) d(q, v), json_tree(e.doc) {RECENT}",
        (LISTS,),
    ),
    Case(
        "the first of the rows beside each row",
        "select q.k, sum(q.n) as s, count(*) as c from (select e.k, d.n from lists e, "
        "range(e.x) d(n) qualify row_number() over (partition by e.k "
        "order by e.ts desc, e.x, e.l, e.doc, e.d, d.n) <= 3) as q group by q.k",
        (LISTS,),
    ),
    Case(
        "members of a constant document",
        "select e.k, count(*) as c, sum(j.value::integer) as s from lists e join "
        'json_each(\'{"p": 1, "q": 2}\') j on j.value::integer >= e.x group by e.k',
        (LISTS,),
        formed=False,
    ),
]


def _lists() -> list[Row]:
    rng = random.Random(3)
    lists = [None, [], [1], [1, 2, 2], [None, 3]]
    docs = [None, '{"p": 1, "q": [2]}', "[5, 6]", "7", "[]"]
    return [
        (rng.choice(["a", "b", "c"]), BASE + rng.randrange(60) * QUARTER,
         rng.choice([None, -1, 0, 1, 2, 5]), rng.choice(lists), rng.choice(docs),
         rng.choice([None, [], [{"a": 1}, {"a": 4}]]))
        for _ in range(25)
    ]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_every_variant_gives_what_the_oracle_gives(case: Case) -> None:
    tables = {leaf.name: _lists() if leaf is LISTS else make_rows(leaf, 3) for leaf in case.leaves}
    spine = make_spine(list(tables.values()), (HOUR, 6 * HOUR), 1, 3, size=12)
    view = FeatureView("v", case.sql, case.entities)
    world = make_world(view, case.leaves, tables, spine)
    assert (world.compiled.why_no_form == "") == case.formed, world.compiled.why_no_form
    world.check_point_in_time()
    times = instants_of(list(tables.values()))
    world.check_as_of([times[len(times) // 2], times[-1] + US])
    world.check_online([times[len(times) // 3]], timedelta(hours=1))


@pytest.mark.parametrize(
    "source",
    [
        "range(3) d(n)",
        "range(e.x) d(n)",
        "unnest([e.x, e.j]) d(n)",
        "(select value::integer as n from json_each('[' || e.x || ', 4]')) d",
    ],
)
def test_steps_reach_what_the_oracle_says(source: str, tmp_path: Path) -> None:
    lateral = "lateral " if source.startswith("(") else ""
    sql = f"select e.k, sum(n) as s, count(*) as c from events e cross join {lateral}{source} {RECENT}"
    build = Build(tmp_path, FeatureView("v", sql, ("k",)), (LATE,))
    rng, known = random.Random(2), list[Row]()
    for step in range(3):
        at = BASE + (step * 5 + 4) * HOUR
        batch = random_batch(rng, at, known)
        known += batch
        build.append(LATE, batch)
        build.advance(at)
        build.check(at)


def test_a_history_has_the_greatest_row_of_the_last_event() -> None:
    sql = "select k, ts, n from events e, range(e.x) d(n)"
    view = FeatureView("v", sql, ("k",), event_time="ts", tie_break=("n",))
    tables = {"events": make_rows(LATE, 5)}
    spine = make_spine(list(tables.values()), (HOUR,), 1, 5, size=20)
    world = make_world(view, (LATE,), tables, spine, visible=True)
    world.check_point_in_time()


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ("range(e.x) d", ("d",)),
        ("range(3) d(n)", ("n",)),
        ("unnest(e.l) d(n)", ("n",)),
        ("(values (1, 2)) d(a, b)", ("a", "b")),
        ("json_each(e.doc) d(q)", ("q", "value", "id", "fullkey")),
        ("lateral (select unnest(e.l) as n) d", ("n",)),
    ],
)
def test_rows_that_tie_are_told_apart_by_them(source: str, columns: tuple[str, ...]) -> None:
    sql = (
        f"select k, count(*) as c from (select e.k, e.x from lists e, {source} qualify "
        "row_number() over (partition by e.k order by e.ts) <= 3) as q group by k"
    )
    compiled = compile_view(FeatureView("v", sql, ("k",)), [LISTS])
    (window,) = compiled.draft.tree.find_all(exp.Window)
    order = [o.this for o in window.args["order"].expressions]
    assert {exp.column(c, table="d", quoted=True) for c in columns} <= set(order)


def test_a_lateral_query_that_reads_a_value_early_is_found() -> None:
    """As though the compiler had forgotten when a column beside which rows are made is known."""
    sql = "select k, max(n) as m from trips t, range(t.delay) d(n) group by k"
    later = compile_view(FeatureView("v", sql, ("k",)), [TRIPS])
    certify_bounds(later.point_in_time(lowering="stab"), (TRIPS,), "v.sql")
    at_once = compile_view(FeatureView("v", sql, ("k",)), [replace(TRIPS, known_later={})])
    for lowering in ("stab", "decorrelated"):
        with pytest.raises(UnsafeQueryError, match="without a bound in time"):
            certify_bounds(at_once.point_in_time(lowering=lowering), (TRIPS,), "v.sql")


@pytest.mark.parametrize("engine", ["trino", "spark"])
@pytest.mark.parametrize("case", [CASES[0], CASES[6], CASES[16], CASES[21]], ids=lambda c: c.name)
def test_engines_refuse_them_by_name(case: Case, engine: Engine) -> None:
    compiled = compile_view(FeatureView("v", case.sql, ("k",)), case.leaves)
    names = "unnest|range|generate_series|json_each|json_tree"
    with pytest.raises(CompileError, match=f"(?i)({names}).*not supported on {engine}"):
        compiled.point_in_time(engine=engine)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("read_csv('x.csv') d", "a table function stands in FROM: READ_CSV"),
        ("lateral read_csv(e.k) d", "a table function stands in FROM: READ_CSV"),
        ("glob('*') d", "a table function stands in FROM: GLOB"),
        ("query_table('events') d", "a table function stands in FROM: QUERY_TABLE"),
        ("range(0, 5, 0) d", "write a step that is not 0"),
        ("generate_series(date '2024-01-01', date '2024-02-01', interval 0 day) d", "is not 0"),
        ("range(0, 5, e.x) d", "write its step as a number or an interval"),
        ("range(random()::int) d", r"random\(\) .*"),
        ("range(3) r, json_each(x) d", r"write the table before its column: t\.x"),
        ("json_each('[1]') d(a, b, c, d, e, f, g, h, i)", "name at most 8 columns"),
    ],
)
def test_what_is_refused(source: str, error: str) -> None:
    view = FeatureView(
        "v", f"select e.k, count(*) as n from events e, {source} group by e.k", ("k",)
    )
    with pytest.raises((CompileError, UnsafeQueryError), match=error):
        compile_view(view, [EVENTS])


def test_other_dialects_name_the_columns_otherwise() -> None:
    sql = "select e.k, count(*) as n from events e cross join range(3) as d group by e.k"
    with pytest.raises(CompileError, match="a table function stands in FROM"):
        compile_view(FeatureView("v", sql, ("k",)), [EVENTS], dialect="spark")
