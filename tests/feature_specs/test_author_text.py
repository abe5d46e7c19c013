"""What the author wrote keeps its meaning on the way through SQLGlot, or is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_service, compile_view
from feature_specs.compile.parse.parse_query import parse_text
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError, ForebayError, TimeRoleError, UnsafeQueryError

COLUMNS = {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "x": "INTEGER", "d": "DOUBLE"}
EVENTS = Leaf("ev", COLUMNS, event_time="ts")


def _compile(sql: str, *, dialect: str = "duckdb", leaves: Sequence[Leaf] = (EVENTS,)) -> str:
    view = FeatureView("v", sql, ["k"])
    return compile_view(view, leaves=leaves, dialect=dialect).point_in_time()


def _value(sql: str) -> object:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        "create table ev as select 'a' as k, timestamptz '2024-01-01 00:00+00' as ts, "
        "unnest([7, 2]) as x, 0.5::double as d"
    )
    connection.execute(
        "create table spine as select 'a' as k, timestamptz '2024-01-01 00:20+00' as ts"
    )
    (row,) = connection.execute(f"select v from ({sql})").fetchall()
    return row[0]


@pytest.mark.parametrize(
    "unit",
    [
        "us",
        "usec",
        "ms",
        "msecs",
        "s",
        "sec",
        "secs",
        "seconds",
        "m",
        "min",
        "mins",
        "minutes",
        "h",
        "hr",
        "hrs",
        "hours",
        "d",
        "days",
        "w",
        "weeks",
        "mon",
        "mons",
        "months",
        "quarters",
        "y",
        "yr",
        "yrs",
        "years",
        "decades",
        "centuries",
        "millennia",
    ],
)
def test_an_interval_keeps_its_unit(unit: str) -> None:
    written = f"interval '3 {unit}'"
    query = parse_text(f"select {written} as v from t", "duckdb", "f.sql")
    again = duckdb_sql(query.selects[0].unalias())
    (same,) = duckdb.execute(f"select {written} = {again}").fetchall()
    assert same == (True,), again


def test_a_window_of_minutes_written_short() -> None:
    for width, rows in (("30 mins", 2), ("10 mins", None)):
        sql = f"select k, count(*) as v from ev where ts > now() - interval '{width}' group by k"
        assert _value(_compile(sql)) == rows


@pytest.mark.parametrize("text", ["7 days ago", "3 day 1", "2 fortnights"])
def test_an_interval_that_says_more_is_refused(text: str) -> None:
    with pytest.raises(CompileError, match="interval"):
        _compile(f"select k, count(*) as v from ev where ts > now() - interval '{text}' group by k")


@pytest.mark.parametrize("dialect", ["postgres", "trino", "redshift"])
def test_integers_divide_as_in_the_author_dialect(dialect: str) -> None:
    leaf = Leaf("ev", {**COLUMNS, "ts": "TIMESTAMP WITH TIME ZONE"}, event_time="ts")

    def value(expression: str) -> object:
        sql = f"select k, {expression} as v from ev group by k"
        return _value(_compile(sql, dialect=dialect, leaves=[leaf]))

    assert value("sum(x) / count(*)") == 4  # 9 / 2
    assert value("-sum(x) / 2") == -4
    assert value("sum(x) / 2 / 2") == 2
    assert value("sum(d) / count(*)") == 0.5
    assert value("sum(x) / 2.0") == 4.5


def test_integers_divide_as_doubles_in_duckdb() -> None:
    assert _value(_compile("select k, sum(x) / count(*) as v from ev group by k")) == 4.5


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("count()", 2),
        ("count_star()", 2),
        ("mean(x)", 4.5),
        ("mode() within group (order by x)", 2),
        ("mode() within group (order by x desc)", 7),
        ("mode(x order by -x)", 7),
        ("mode(x order by d)", 2),
        ("max(date_part('hour', ts))", 0),
        ("max(weekday(ts))", 1),
        ("max(gcd(x, 14))", 7),
    ],
)
def test_other_spellings(item: str, expected: object) -> None:
    assert _value(_compile(f"select k, {item} as v from ev group by k")) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "select k, columns('x|d') from ev",
        "select k, max(columns('x')) as v from ev group by k",
        "select k, * like 'x%' from ev",
        "select k, count(*) as v from (select * from ev order by ts limit 50%) group by k",
    ],
)
def test_what_depends_on_names_or_shares_is_refused(sql: str) -> None:
    with pytest.raises(UnsafeQueryError):
        _compile(sql)


@pytest.mark.parametrize(
    "sql",
    [
        'select k, count(*) as "a""b" from ev group by k',
        "select k, max(n) as v from (select k, x, count(*) as n, row_number() over (partition by k "
        "order by x) as r from ev group by rollup (k, x)) group by k",
        "select k, count(*) as v from ev where (k, x) in (select k, x from ev) "
        "and ts > now() - interval '1 month' group by k",
    ],
)
def test_what_cannot_be_written_is_refused_by_a_typed_error(sql: str) -> None:
    with pytest.raises(CompileError):
        _compile(sql)


def test_ttl_of_a_wall_clock_elsewhere_is_refused() -> None:
    leaf = Leaf("ev", {**COLUMNS, "ts": "TIMESTAMP"}, event_time="ts", timezone="Asia/Tokyo")

    def compiled(time: str) -> None:
        sql = f"select k, {time} as ts, x from ev"
        hour = timedelta(hours=1)
        compile_view(FeatureView("v", sql, ["k"], event_time="ts", ttl=hour), leaves=[leaf])

    with pytest.raises(TimeRoleError, match="Asia/Tokyo"):
        compiled("ts")
    compiled("ts at time zone 'Asia/Tokyo'")


@pytest.mark.parametrize("kind", ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"])
def test_naive_timestamps_of_every_unit(kind: str) -> None:
    leaf = Leaf("q", {"k": "VARCHAR", "ts": kind}, event_time="ts", timezone="UTC")
    sql = _compile("select k, count(*) as v from q group by k", leaves=[leaf])
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(f"create table q as select 'a' as k, '2024-01-01'::{kind} as ts")
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-01-02' as ts")
    assert connection.execute(f"select v from ({sql})").fetchall() == [(1,)]


def test_two_views_of_one_name_in_a_service_are_refused() -> None:
    one, two = (
        compile_view(
            FeatureView(n, "select k, count(*) as v from ev group by k", ["k"]), leaves=[EVENTS]
        )
        for n in ("a", "A")
    )
    with pytest.raises(ForebayError, match="two feature views are named 'a'"):
        compile_service([one, two])


def test_a_leaf_named_like_the_state_is_refused() -> None:
    leaf = Leaf("v__state", COLUMNS, event_time="ts")
    view = FeatureView("v", "select k, count(*) as n from v__state group by k", ["k"])
    with pytest.raises(CompileError, match="v__state"):
        compile_view(view, leaves=[leaf]).incremental()
