"""Statements on a session that is not at UTC, or at no instant, raise instead of answering."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_service, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError

pytestmark = pytest.mark.many_cases

TZ = "TIMESTAMP WITH TIME ZONE"
LEAF = Leaf("e", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts")
DIMS = Leaf("d", {"k": "VARCHAR", "x": "INTEGER"}, static=True)
AT = datetime(2024, 1, 2, 3, tzinfo=UTC)
#: Its day begins five hours later in New York, so that it would be another's.
SQL = "select k, count(*) filter (where ts >= date_trunc('day', now())) as n from e group by k"


def _database(zone: str) -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    opened.execute(f"create table e (k varchar, ts {TZ}, x integer)")
    opened.execute("create table d as select 'a' as k, 1 as x")
    opened.execute("insert into e values ('a', '2024-01-02 01:00+00', 3)")
    opened.execute("create table spine as select 'a' as k, timestamp '2024-01-02 03:00' as ts")
    opened.execute("create schema online")
    opened.execute("create table online.stored as select 'a' as k, 1 as n")
    opened.execute(f"set timezone = '{zone}'")
    return opened


def _compiled(sql: str = SQL) -> CompiledView:
    return compile_view(FeatureView("v", sql, ["k"]), [LEAF, DIMS])


def _run(
    database: duckdb.DuckDBPyConnection, sql: str, at: datetime | None = AT
) -> list[tuple[object, ...]]:
    return database.execute(sql, {"as_of": at} if "$as_of" in sql else None).fetchall()


def _statements(view: CompiledView) -> dict[str, str]:
    found = {"as of": view.as_of(AT), "as of a parameter": view.as_of()}
    for lowering in (None, *LOWERINGS):
        try:
            found[f"point in time {lowering}"] = view.point_in_time(lowering=lowering)
        except CompileError:
            continue
    found["service"] = compile_service([view])
    online = view.online()
    found |= {
        "store": online.store,
        "read": online.read.replace("from stored", "from online.stored"),
    }
    return found


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Asia/Kolkata", "Europe/London", "Africa/Abidjan"]
)
def test_every_variant_refuses_another_zone(zone: str) -> None:
    database, view = _database(zone), _compiled()
    for name, sql in _statements(view).items():
        with pytest.raises(duckdb.Error, match=f"time zone is {zone}.*set time zone 'UTC'"):
            pytest.fail(f"{name} answers {_run(database, sql)}")
    state = view.incremental()
    database.execute("set timezone = 'UTC'")
    for sql in state.create:
        _run(database, sql)
    before = _run(database, state.read)
    assert before == [("a", 1)]
    database.execute(f"set timezone = '{zone}'")
    with pytest.raises(duckdb.Error, match="set time zone"):
        _run(database, state.read)
    with pytest.raises(duckdb.Error, match="set time zone"):
        for sql in state.step:
            _run(database, sql)
    database.execute("rollback")
    database.execute("set timezone = 'UTC'")
    assert _run(database, state.read) == before


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "GMT", "Zulu"])
def test_zones_that_are_utc_answer(zone: str) -> None:
    database, view = _database(zone), _compiled()
    for name, sql in _statements(view).items():
        assert _run(database, sql)[0][-1] == 1, name


def test_an_answer_without_rows_is_no_answer_in_another_zone() -> None:
    database = _database("Asia/Kolkata")
    view = _compiled(
        "select k, count(*) as n from e where ts >= date_trunc('day', now()) group by k"
    )
    database.execute("delete from e")
    with pytest.raises(duckdb.Error, match="set time zone"):
        _run(database, view.as_of(AT))
    static = compile_view(FeatureView("v", "select k, x as n from d", ["k"]), [DIMS])
    with pytest.raises(duckdb.Error, match="set time zone"):
        _run(database, static.as_of())


VIEWS = {
    "windows": FeatureView("v", SQL, ["k"]),
    "a window": FeatureView("v", "select k, count(*) as n from e where ts >= date_trunc('day', now()) group by k", ["k"]),
    "a history": FeatureView("v", "select k, ts, x as n from e", ["k"], event_time="ts"),
    "a join": FeatureView("v", "select e.k, max(d.x) as n from e join d on d.k = e.k group by e.k", ["k"]),
    "static": FeatureView("v", "select k, x as n from d", ["k"]),
    "an age": FeatureView("v", "select k, avg(epoch(now() - ts)) as n from e group by k", ["k"]),
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_every_statement_but_that_of_an_empty_spine_raises_without_a_row(name: str) -> None:
    """No row of the spine, no value that could be wrong; all else tells even of nothing."""
    database, view = _database("UTC"), compile_view(VIEWS[name], [LEAF, DIMS])
    for table in ("e", "d"):
        database.execute(f"delete from {table}")
    state, online = view.incremental(), view.online()
    _run(database, f"create or replace table online.stored as {online.store}")
    for sql in state.create:
        _run(database, sql)
    database.execute("set timezone = 'Asia/Kolkata'")
    read = online.read.replace("from stored", "from online.stored")
    for sql in (view.as_of(), view.as_of(AT), online.store, read, state.read):
        with pytest.raises(duckdb.Error, match="time zone is Asia/Kolkata"):
            pytest.fail(f"{sql} answers {_run(database, sql)}")
    for statements in (state.create, state.step):
        with pytest.raises(duckdb.Error, match="time zone is Asia/Kolkata"):
            for sql in statements:
                _run(database, sql)
        database.execute("rollback")
    with pytest.raises(duckdb.Error, match="time zone is Asia/Kolkata"):
        _run(database, view.point_in_time())
    database.execute("delete from spine")
    assert _run(database, view.point_in_time()) == []


@pytest.mark.parametrize("engine", ["trino", "spark"])
@pytest.mark.parametrize("name", VIEWS)
def test_other_engines_are_asked_for_their_zone(name: str, engine: str) -> None:
    """By ``current_timezone()``, which both have; tried on a Spark at New York and at UTC."""
    view = compile_view(VIEWS[name], [LEAF, DIMS])
    raises = {"trino": "FAIL(", "spark": "RAISE_ERROR("}[engine]
    for sql in (view.as_of(AT, engine), view.point_in_time(engine=engine)):
        assert "LOWER(CURRENT_TIMEZONE()) IN" in sql and raises in sql
        assert "set time zone" in sql and "current_setting" not in sql.lower()


def test_a_naive_spine_is_read_at_utc_or_not_at_all() -> None:
    """In New York the naive 03:00 would be 08:00 at UTC, another instant."""
    view = _compiled()
    (row,) = _run(_database("UTC"), view.point_in_time())
    assert row[-1] == 1


@pytest.mark.parametrize(
    "sql", [SQL, "select k, max(x) as n from e group by k", "select k, x as n from d"]
)
def test_a_state_at_no_instant_is_refused_and_left_as_it_was(sql: str) -> None:
    database, view = _database("UTC"), _compiled(sql)
    state = view.incremental()
    with pytest.raises(duckdb.Error, match="instant as_of is null"):
        for statement in state.create:
            _run(database, statement, None)
    database.execute("rollback")
    for statement in state.create:
        _run(database, statement)
    before = _run(database, state.read)
    assert before
    with pytest.raises(duckdb.Error, match="instant as_of is null"):
        for statement in state.step:
            _run(database, statement, None)
    database.execute("rollback")
    assert _run(database, state.read) == before
    for statement in state.step:
        _run(database, statement)
    assert _run(database, state.read) == before
