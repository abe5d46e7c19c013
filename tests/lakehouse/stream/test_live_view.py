"""One view's rows in memory, where a step cannot be taken."""

from __future__ import annotations

from pathlib import Path

from feature_specs.deltas import added_relation
from feature_specs.view import FeatureView
from lakehouse.stream.live_view import LiveView
from tests.feature_specs.oracle import connect, fill
from tests.feature_specs.worlds import BASE, DIMS, EVENTS
from tests.lakehouse.builds import HOUR, Build

SQL = (
    "select q.k, count(*) as n from (select k, s::int as v from (select k, s, row_number() over "
    "(partition by k order by ts, x) as r from events) as ranked where r = 1) as q "
    "join dims as d on d.weight = q.v group by q.k"
)


def test_rows_that_the_query_leaves_out_break_no_step(tmp_path: Path) -> None:
    build = Build(tmp_path, FeatureView("v", SQL, ("k",)), (EVENTS, DIMS))
    connection = connect()
    connection.execute("create schema memory.forebay_live")
    first = ("a", 1, BASE, BASE, 1, None, None, "7", True)
    dirty = ("a", 1, BASE, BASE, 2, None, None, "p", True)
    fill(connection, "dims", DIMS.columns, [("a", "north", 7)])
    fill(connection, "events", EVENTS.columns, [first])
    live = LiveView(connection, build.entry, build.plan)
    live.build(BASE + HOUR)
    came = [dirty, ("b", *first[1:])]
    fill(connection, "events", EVENTS.columns, [first, *came])
    fill(connection, added_relation("events"), EVENTS.columns, came)
    assert live.step(BASE + 2 * HOUR, {"events"}) == 1
    held = connection.execute(f"select k, n from {live.relation} order by k").fetchall()
    assert held == [("a", 1), ("b", 1)]
