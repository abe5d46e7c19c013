"""Output columns are spelled as DuckDB spells those of the author's own query."""

from __future__ import annotations

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_service
from feature_specs import compile_view as compile_one
from feature_specs.errors import CompileError, UnknownNameError
from feature_specs.view import FeatureReference

COLUMNS = {"Id": "BIGINT", "x": "INTEGER", "Max": "INTEGER", "s": "STRUCT(Big INTEGER)"}
LEAF = Leaf("t", {**COLUMNS, "ts": "TIMESTAMPTZ"}, event_time="ts")
OTHER = Leaf("u", {"ID": "BIGINT", "MAX": "INTEGER", "Ts": "TIMESTAMPTZ"}, event_time="Ts")

QUERIES = {
    "an alias": 'select id, max(x) as "Max" from t group by id',
    "an alias without quotes": "select ID as iD, max(x) as Max from t group by id",
    "a plain column": "select ID, MAX, ts from t",
    "the other table's": "select ID, max, TS from u",
    "a star": "select * exclude (s) from t",
    "a qualified star": "select a.* from u as a",
    "renamed in a star": "select * rename (x as Y) from (select id, max(x) as x from t group by id)",
    "a CTE's": 'with a as (select id as ID, max(x) as "Max" from t group by 1) select * from a',
    "a CTE's, named": 'with a as (select id, max(x) as "Max" from t group by 1) select id, max from a',
    "two CTEs": 'with a as (select id, x as "V" from t), b as (select id, "V" + 1 as v from a) '
    "select id, max(v) as m, max(V) as MM from b group by 1",
    "a CTE of a table's name": 'with T as (select id, max(max) as "mAX" from u group by 1) select * from t',
    "a table's aliases": "select z.* from (select id, max(max) from t group by 1) as z(iD, mAx)",
    "a CTE's aliases": "with z(iD, mAx) as (select id, max(max) from t group by 1) select * from z",
    "group by all": "select ID, count(*) as N from t group by all",
    "a union": 'select id as "ID", x as B from t union all select id, max as b from u where false',
    "a join": 'select a.*, b.m as "Bm" from (select id, count(*) as "Nn" from t group by 1) as a '
    "left join (select id, max(x) as M from t group by 1) as b on a.ID = b.iD",
    "a join's columns": 'select a.id, "Nn", m from (select id, count(*) as "Nn" from t group by 1) '
    "as a left join (select id, max(x) as M from t group by 1) as b using (id)",
    "a join by a column of both": "select id, count(*) as N from u join t using (id) group by id",
    "in the order of the tables": "select t.iD, u.mAX, t.max as m from t join u on t.id = u.id",
    "a struct's field": "select id, s.big from t",
    "not ASCII": 'select id, max(x) as "Ärger", min(x) as "ärger" from t group by id',
}


def _compiled(sql: str) -> CompiledView:
    return compile_one(FeatureView("v", sql, ["ID"]), [LEAF, OTHER])


def _database() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    for leaf in (LEAF, OTHER):
        listed = ", ".join(f'"{n}" {kind}' for n, kind in leaf.columns.items())
        opened.execute(f"create table {leaf.name} ({listed})")
    opened.execute("create table spine (id bigint, ts timestamptz)")
    return opened


def _names(opened: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return [str(d[0]) for d in opened.execute(sql.replace("$as_of", "now()")).description]


@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES)
def test_as_duckdb_spells_them(sql: str) -> None:
    opened, view = _database(), _compiled(sql)
    written = _names(opened, sql)
    assert sorted(_names(opened, view.as_of())) == sorted(written)
    features = [n for n in written if n.lower() != "id"]
    assert _names(opened, view.point_in_time())[2:] == features
    assert _names(opened, compile_service([view]))[2:] == [f"v__{n}" for n in features]


def test_a_model_s_names_are_kept() -> None:
    view = FeatureView("v", "select * from m", ["id"], models={"m": 'select id, x as "X" from t'})
    compiled = compile_one(view, [LEAF])
    assert _names(_database(), compiled.point_in_time())[2:] == ["X"]


def test_case_means_nothing() -> None:
    one = _compiled('select id, max(x) as "Max" from t group by id')
    other = _compiled("select id, max(x) as max from t group by id")
    assert one.semantic_hash == other.semantic_hash
    assert one.stored_now == other.stored_now


@pytest.mark.parametrize("asked", ["max", "MAX", "Max"])
def test_a_service_finds_it_in_any_case(asked: str) -> None:
    view = _compiled('select id, max(x) as "Max", min(x) as low from t group by id')
    sql = compile_service([view], [FeatureReference("v", asked)])
    assert _names(_database(), sql)[2:] == ["v__Max"]


def test_what_a_service_does_not_find_is_told_as_spelled() -> None:
    view = _compiled('select id, max(x) as "Max" from t group by id')
    with pytest.raises(UnknownNameError, match="Max"):
        compile_service([view], [FeatureReference("v", "maxx")])


def test_names_that_differ_in_case_only_are_one() -> None:
    with pytest.raises(CompileError, match="two columns are named 'max'"):
        _compiled('select id, max(x) as "Max", min(x) as max from t group by id')
