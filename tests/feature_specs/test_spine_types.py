"""A spine's types: instants finer than a microsecond round down, and keys are never taken for others."""

from __future__ import annotations

import duckdb
import pytest

from feature_specs import CompiledView, FeatureView, Leaf, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError
from tests.feature_specs.oracle import connect

pytestmark = pytest.mark.many_cases

KEYS = {"k": "BIGINT", "name": "VARCHAR", "day": "DATE", "ts": "TIMESTAMPTZ"}
EVENTS = Leaf("events", KEYS, event_time="ts")
COUNT, HISTORY = (
    "select {0}, count(*) as n from events group by {0}",
    "select {0}, ts, 1 as n from events",
)


def _views(key: str) -> list[CompiledView]:
    views = [
        FeatureView("v", COUNT.format(key), [key]),
        FeatureView("h", HISTORY.format(key), [key], event_time="ts"),
    ]
    return [compile_view(view, leaves=[EVENTS]) for view in views]


def _statements(key: str, spine: str) -> list[str]:
    found = []
    for view in _views(key):
        for lowering in (None, *LOWERINGS):
            try:
                found.append(view.point_in_time(spine=f"({spine})", lowering=lowering))
            except CompileError:
                continue
    assert len(found) >= 6
    return found


def _database() -> duckdb.DuckDBPyConnection:
    connection = connect()
    connection.execute(
        "create table events as select 3::bigint as k, '03' as name, date '2024-01-01' as day, "
        "timestamptz '2024-01-02 00:00:00.000002+00' as ts"
    )
    return connection


@pytest.mark.parametrize(
    ("instant", "n"),
    [
        ("timestamp_ns '2024-01-02 00:00:00.000001999'", None),
        ("timestamp_ns '2024-01-02 00:00:00.000002000'", 1),
        ("timestamp_ns '2024-01-02 00:00:00.000002001'", 1),
        ("cast('2024-01-02 00:00:00.000001999+00' as timestamptz_ns)", None),
        ("timestamp_ns '1969-12-31 23:59:59.999999999'", None),
        ("timestamp '2024-01-02 00:00:00.000001'", None),
        ("'2024-01-02 00:00:00.000002+00'", 1),
        ("date '2024-01-03'", 1),
    ],
)
def test_an_instant(instant: str, n: int | None) -> None:
    connection = _database()
    for sql in _statements("k", f"select 3::bigint as k, {instant} as ts"):
        assert connection.execute(f"select n from ({sql})").fetchall() == [(n,)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k", "3::tinyint"), ("k", "3::hugeint"), ("k", "3::decimal(9,2)"), ("k", "null"),
        ("name", "'03'"), ("name", "cast('03' as enum('03', '3'))"), ("day", "date '2024-01-01'"),
    ],
)  # fmt: skip
def test_a_key_that_widens(key: str, value: str) -> None:
    connection = _database()
    for sql in _statements(key, f"select {value} as {key}, timestamptz '2024-01-03' as ts"):
        expected = None if value == "null" else 1
        assert connection.execute(f"select n from ({sql})").fetchall() == [(expected,)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k", "'3'"), ("k", "' 03'"), ("k", "3.0::double"), ("k", "3::float"), ("k", "true"),
        ("name", "3"), ("name", "3.0::decimal(9,1)"), ("day", "19723"), ("name", "3.0::double"),
        ("name", "date '2024-01-01'"), ("name", "true"), ("day", "'2024-1-1'"),
    ],
)  # fmt: skip
def test_a_key_of_other_values_is_refused(key: str, value: str) -> None:
    connection = _database()
    for sql in _statements(key, f"select {value} as {key}, timestamptz '2024-01-03' as ts"):
        with pytest.raises(duckdb.Error, match=f"spine column {key} of . is a .*: cast it"):
            connection.execute(sql)


@pytest.mark.parametrize(
    ("sql", "fits", "other"),
    [
        ("select cast(name as integer) as k, count(*) as n from events group by 1", "3", "'03'"),
        (
            "select k, count(*) as n from (select cast(name as integer) as k from events union all "
            "select cast(name as integer) from events) as u group by k",
            "3",
            "'03'",
        ),
        ("select name as k, count(*) as n from (select distinct name, ts from events) as e group by 1",
         "'03'", "3"),
    ],
)  # fmt: skip
def test_a_key_has_the_type_that_the_query_gives_it(sql: str, fits: str, other: str) -> None:
    connection = _database()
    compiled = compile_view(FeatureView("v", sql, ["k"]), leaves=[EVENTS])
    statement = compiled.point_in_time(spine="(select given as k, timestamptz '2024-01-03' as ts)")
    (row,) = connection.execute(statement.replace("given", fits)).fetchall()
    assert row[-1] >= 1
    with pytest.raises(duckdb.Error, match="cast it"):
        connection.execute(statement.replace("given", other))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("TIME", "time '05:00:00'"), ("UUID", "uuid 'eeccb8c5-9943-b2bb-bb5e-222f4e14b687'"),
        ("BIT", "bit '101'"), ("BLOB", "'ab'::blob"), ("BOOLEAN", "true"), ("INTERVAL", "interval 1 day"),
        ("TIMESTAMP", "timestamp '2024-01-01'"), ("ENUM('a', 'b')", "cast('a' as enum('a', 'b'))"),
        ("DECIMAL(9,2)", "3.50::decimal(9,2)"), ("HUGEINT", "3::hugeint"), ("UBIGINT", "3::ubigint"),
        ("VARCHAR[]", "['a', 'b']"), ("STRUCT(a INTEGER)", "{'a': 1}"),
    ],
)  # fmt: skip
def test_a_key_of_its_own_type(kind: str, value: str) -> None:
    connection = connect()
    leaf = Leaf("things", {"k": kind, "ts": "TIMESTAMPTZ"}, event_time="ts")
    connection.execute(
        f"create table things as select {value} as k, timestamptz '2024-01-01' as ts"
    )
    connection.execute("create table spine as select k, timestamptz '2024-01-02' as ts from things")
    for view in (
        FeatureView("v", "select k, count(*) as n from things group by k", ["k"]),
        FeatureView("h", "select k, ts, 1 as n from things", ["k"], event_time="ts"),
    ):
        sql = compile_view(view, leaves=[leaf]).point_in_time()
        assert connection.execute(f"select n from ({sql})").fetchall() == [(1,)]
