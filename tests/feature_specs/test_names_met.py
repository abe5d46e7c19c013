"""Names that meet: of columns and tables, of compiled columns and the author's."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import connect
from tests.feature_specs.worlds import BASE, DIMS, EVENTS, LATE, QUARTER, TZ, make_rows, make_spine

#: ``d`` and ``x`` are columns of events.
HIDDEN = {
    "one level down": "select d.k, (select count(*) from events e where e.k = d.k) as n from dims d",
    "two levels down": "select d.k, (select count(*) from events e where e.k = d.k and e.x > "
    "(select avg(x) from events e2 where e2.k = d.k)) as n from dims d",
    "in a list": "select x.k, (select list(f order by f, ts, j) from (select f, ts, j from events "
    "where events.k = x.k order by ts desc, f desc, j desc limit 3) as l) as fs from dims x",
    "in EXISTS": "select d.k, 1 as n from dims d where exists (select 1 from events e where e.k = d.k "
    "and not exists (select 1 from events o where o.k = d.k and o.ts > e.ts))",
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("leaf", [EVENTS, LATE], ids=["event", "arrival"])
def test_a_column_that_hides_a_table(name: str, leaf: Leaf) -> None:
    tables = {"dims": make_rows(DIMS, 3), "events": make_rows(leaf, 3)}
    spine = make_spine(list(tables.values()), (), 1, 3, size=20)
    view = FeatureView("v", HIDDEN[name], ("k",))
    world = make_world(view, [DIMS, leaf], tables, spine)
    world.check_point_in_time()
    world.check_as_of([BASE + n * QUARTER for n in (3, 30, 70)])


def test_a_field_or_a_table_is_refused() -> None:
    leaf = Leaf("e", {"k": "VARCHAR", "ts": TZ, "d": "STRUCT(k VARCHAR)"}, event_time="ts")
    view = FeatureView(
        "v", "select d.k, (select count(*) from e where e.k = d.k) as n from dims d", ["k"]
    )
    with pytest.raises(
        CompileError, match=r"d\.k is a column of d outside the subquery, or a field"
    ):
        compile_view(view, [leaf, DIMS])


def _rows(sql: str, entity: str, leaves: list[Leaf], database: duckdb.DuckDBPyConnection) -> Any:
    compiled = compile_view(FeatureView("v", sql, [entity]), leaves=leaves)
    found = []
    for lowering in (None, *LOWERINGS):
        try:
            statement = compiled.point_in_time(lowering=lowering)
        except CompileError:
            continue
        found.append([row[2:] for row in database.execute(statement).fetchall()])
    return found


def test_two_tables_whose_columns_have_one_compiled_name() -> None:
    database = connect()
    database.execute("create table p as select 'a' as k, timestamptz '2024-01-01' as ts, 1 as b__c")
    database.execute("create table q as select 'a' as k, timestamptz '2024-01-01' as ts, 100 as c")
    database.execute("create table spine as select 'a' as k, timestamptz '2024-01-02' as ts")
    leaves = [
        Leaf("p", {"k": "VARCHAR", "ts": TZ, "b__c": "INTEGER"}, event_time="ts"),
        Leaf("q", {"k": "VARCHAR", "ts": TZ, "c": "INTEGER"}, event_time="ts"),
    ]
    for join in ("join", "left join"):
        sql = (
            "select a.k, sum(a.b__c) as s, sum(a__b.c) as t from p a "
            f"{join} q a__b on a.k = a__b.k group by a.k"
        )
        for found in _rows(sql, "k", leaves, database):
            assert found == [(1, 100)]


@pytest.mark.parametrize("entity", ["agg1", "e__x", "key1", "total1"])
def test_an_entity_named_like_a_compiled_column(entity: str) -> None:
    database = connect()
    database.execute("create table e as select 'a' as k, timestamptz '2024-01-01' as ts, 4 as x")
    database.execute(
        f"create table spine as select 'a' as {entity}, timestamptz '2024-01-02' as ts"
    )
    leaf = Leaf("e", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts")
    sql = f"select e.k as {entity}, sum(e.x) as s, max(e.x) as m from e group by e.k"
    for found in _rows(sql, entity, [leaf], database):
        assert found == [(4, 4)]


def test_what_is_not_null_of_no_rows() -> None:
    sql = (
        "select d.k, q.m, q.n, q.e from dims d cross join (select regr_count(x, f) as m, count(x) as n, "
        "entropy(x) as e from events where ts > now() - interval '1' hour) as q"
    )
    tables = {"dims": make_rows(DIMS, 3), "events": make_rows(EVENTS, 3)}
    spine = make_spine(list(tables.values()), (), 1, 3, size=20)
    world = make_world(FeatureView("v", sql, ("k",)), [DIMS, EVENTS], tables, spine)
    world.check_point_in_time()
    world.check_as_of([BASE - QUARTER, BASE + 30 * QUARTER])


@pytest.mark.parametrize(
    "source",
    [
        "e as q(x, ts, k)",
        "m as q(x, ts, k)",
        "(e as q(x, ts, k))",
        "(select * from e) as q(x, ts, k)",
        "(with c as (from e) select * from c as r(x, ts, k)) as q",
    ],
)
def test_columns_that_from_gives_other_names(source: str) -> None:
    """As DuckDB has it: k and x have changed places."""
    database = connect()
    database.execute("create table e as select 1 as k, timestamptz '2024-01-01' as ts, 7 as x")
    database.execute("create table spine as select 7 as k, timestamptz '2024-01-02' as ts")
    leaf = Leaf("e", {"k": "INTEGER", "ts": TZ, "x": "INTEGER"}, event_time="ts")
    sql = f"select q.k, count(*) as n, sum(q.x) as s from {source} group by q.k"
    models = {"m": "select k, ts, x from e"}
    compiled = compile_view(FeatureView("v", sql, ["k"], models=models), [leaf])
    found = database.execute(compiled.point_in_time()).fetchall()
    assert [row[2:] for row in found] == [(1, 1)]
    assert database.execute(compiled.as_of(), {"as_of": BASE}).fetchall() == [(7, 1, 1)]
