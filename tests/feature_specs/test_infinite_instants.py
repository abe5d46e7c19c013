"""Rows that have always been, and rows that never come: '-infinity' and 'infinity' as times."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import pytest

from feature_specs import FeatureView, Leaf, compile_view
from feature_specs.compile.lowerings.choose_lowering import LOWERINGS
from feature_specs.errors import CompileError

EVENTS = Leaf("ev", {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "x": "INTEGER"}, event_time="ts")
TIERS = Leaf(
    "tiers",
    {"k": "VARCHAR", "since": "TIMESTAMPTZ", "until": "TIMESTAMPTZ", "tier": "VARCHAR"},
    valid_from="since",
    valid_to="until",
)


def _data() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        "create table ev as select 'a' as k, ts, x from (values (timestamptz '-infinity', 1), "
        "('2024-01-01 00:00+00', 2), ('infinity', 100), ('2024-01-05 00:00+00', 4)) as t(ts, x)"
    )
    connection.execute(
        "create table tiers as select 'a' as k, * from (values (timestamptz '-infinity', "
        "timestamptz '2024-01-03 00:00+00', 'old'), ('2024-01-03 00:00+00', 'infinity', 'new')) "
        "as t(since, until, tier)"
    )
    connection.execute(
        "create table spine as select 'a' as k, ts from "
        "(values (timestamptz '2024-01-02 00:00+00'), ('2024-01-04 00:00+00')) as t(ts)"
    )
    return connection


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select k, max(tier) as v from tiers group by k", ["old", "new"]),
        ("select k, tier as v from tiers", ["old", "new"]),
        ("select k, sum(x) as v from ev group by k", [3, 3]),
        (
            "select k, sum(x) as v from ev where ts > now() - interval '3 days' group by k",
            [2, None],
        ),
        ("select k, sum(x) as v from ev where ts <= now() - interval '1 day' group by k", [3, 3]),
        ("select a.k, sum(b.x) as v from ev a join ev b on a.k = b.k group by a.k", [6, 6]),
        ("select a.k, sum(b.x) as v from ev a left join ev b on a.k = b.k group by a.k", [6, 6]),
        (
            "select a.k, max(b.tier) as v from ev a left join tiers b on a.k = b.k group by a.k",
            ["old", "new"],
        ),
        (
            "select k, count(*) as v from ev where not exists "
            "(select 1 from ev f where f.k = ev.k and f.x > ev.x) group by k",
            [1, 1],
        ),
        (
            "select k, sum(x) as v from (select k, x from ev qualify row_number() over "
            "(partition by k order by ts desc, x) <= 2) group by k",
            [3, 3],
        ),
    ],
)
def test_every_variant(sql: str, expected: list[object]) -> None:
    compiled = compile_view(FeatureView("v", sql, ["k"]), leaves=[EVENTS, TIERS])
    connection = _data()
    for lowering in (None, *LOWERINGS):
        try:
            statement = compiled.point_in_time(lowering=lowering)
        except CompileError:
            assert lowering is not None
            continue
        rows = connection.execute(f"select v from ({statement}) order by ts").fetchall()
        assert [v for (v,) in rows] == expected, lowering


def test_a_history_begins_with_a_row_that_has_always_been() -> None:
    view = FeatureView("v", "select k, ts, x from ev where x = 1", ["k"], event_time="ts")
    sql = compile_view(view, leaves=[EVENTS]).point_in_time()
    assert _data().execute(f"select x from ({sql})").fetchall() == [(1,), (1,)]


def test_such_a_row_is_older_than_any_ttl() -> None:
    view = FeatureView(
        "v", "select k, ts, x from ev where x = 1", ["k"], event_time="ts", ttl=timedelta(days=9999)
    )
    sql = compile_view(view, leaves=[EVENTS]).point_in_time()
    assert _data().execute(f"select x from ({sql})").fetchall() == [(None,), (None,)]


@pytest.mark.parametrize("instant", ["infinity", "-infinity"])
def test_an_infinite_instant_of_a_spine_is_refused(instant: str) -> None:
    compiled = compile_view(
        FeatureView("v", "select k, sum(x) as v from ev group by k", ["k"]), leaves=[EVENTS]
    )
    connection = _data()
    connection.execute(f"insert into spine values ('a', '{instant}')")
    for lowering in (None, "decorrelated"):
        with pytest.raises(duckdb.Error, match='spine column "ts" is infinite in a row'):
            connection.execute(compiled.point_in_time(lowering=lowering)).fetchall()
