"""Steps of the incremental variant, each with one thing to notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.oracle import Oracle, Row, connect, differences, fill
from tests.feature_specs.worlds import BASE, EVENTS, QUARTER, TRIPS, US

HOUR = timedelta(hours=1)
WINDOW = "select k, count(*) as n, sum(x) as s from events where ts > now() - interval '1' hour group by k"
LIFETIME = "select k, count(*) as n, sum(x) as s from events group by k"

Tables = Mapping[str, Sequence[Row]]


def event(ts: datetime, x: int | None = 1, *, k: str = "a") -> Row:
    """A row of EVENTS."""
    return (k, 1, ts, ts, x, None, None, "p", True)


def held(
    sql: str,
    leaves: Sequence[Leaf],
    steps: Sequence[tuple[datetime, Tables]],
    *,
    by_key: bool = True,
) -> None:
    """After each step the state is F(D, T)."""
    view = FeatureView("v", sql, ("k",))
    statements = compile_view(view, leaves).incremental()
    assert statements.by_key is by_key
    connection, oracle = connect(), Oracle(view, leaves, sql)
    for number, (at, tables) in enumerate(steps):
        for leaf in leaves:
            fill(connection, leaf.name, leaf.columns, tables[leaf.name])
            oracle.load(leaf, tables[leaf.name])
        for statement in statements.step if number else statements.create:
            connection.execute(statement, {"as_of": at} if "$as_of" in statement else None)
        result = connection.execute(statements.read)
        names = [d[0] for d in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        state = {(row.pop("k"),): row for row in rows}
        assert len(state) == len(rows), f"step {number}: a key stands twice"
        expected = oracle.at(at)
        assert state.keys() == expected.keys(), f"step {number}"
        for key, features in expected.items():
            assert not differences(state[key], features, 1.0), f"step {number}, {key}"


def _events(sql: str, *steps: tuple[datetime, Sequence[Row]]) -> None:
    held(sql, [EVENTS], [(at, {"events": rows}) for at, rows in steps])


def test_a_leaf_that_is_joined_with_itself() -> None:
    sql = (
        "select a.k, count(*) as n from events as a join events as b on a.k = b.k and b.x > a.x "
        "group by a.k"
    )
    first, second = event(BASE), event(BASE + QUARTER, 2)
    held(
        sql,
        [EVENTS],
        [
            (BASE + HOUR, {"events": [first]}),
            (BASE + HOUR, {"events": [first, second]}),
            (BASE + HOUR, {"events": [second]}),
        ],
    )


def test_a_step_of_what_is_not_in_a_correlated_subquery() -> None:
    other = Leaf("other", {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "x": "INTEGER"}, event_time="ts")
    tables = {
        "events": [event(BASE), event(BASE, 2, k="c"), event(BASE, None, k="b")],
        "other": [("a", BASE, 5), ("b", BASE, None)],
    }
    sql = (
        "select k, count(*) as n from events where x not in "
        "(select o.x from other as o where o.k = events.k) group by k"
    )
    held(sql, [EVENTS, other], [(BASE + HOUR, tables), (BASE + 2 * HOUR, tables)])


def test_a_step_crosses_every_edge() -> None:
    rows = [event(BASE), event(BASE + QUARTER, 5), event(BASE, k="b")]
    ahead = [*rows, event(BASE + 6 * QUARTER, 7, k="c")]
    _events(
        WINDOW,
        (BASE + QUARTER, rows),
        (BASE + 2 * QUARTER, ahead),  # written before its time
        (BASE + HOUR - US, ahead),
        (BASE + HOUR, ahead),  # exactly where b has left
        (BASE + HOUR + QUARTER, ahead),
        (BASE + 6 * QUARTER, ahead),  # exactly where c comes
        (BASE + 6 * QUARTER + HOUR, ahead),
    )


def test_a_step_sees_what_was_written_late() -> None:
    rows = [event(BASE + QUARTER)]
    late = [*rows, event(BASE, 5), event(BASE, 6, k="b")]
    later = [*late, event(BASE - QUARTER, 7)]
    _events(LIFETIME, (BASE + HOUR, rows), (BASE + HOUR, late), (BASE + 2 * HOUR, later))


def test_a_step_sees_what_was_removed() -> None:
    rows = [event(BASE), event(BASE, 5), event(BASE, k="b")]
    _events(LIFETIME, (BASE, rows), (BASE, rows[:1]), (BASE + HOUR, rows[1:2]))


def test_a_step_sees_both_sides_of_a_join_removed() -> None:
    trips = Leaf("trips", TRIPS.columns, event_time="ts")
    sql = (
        "select e.k, count(*) as n, sum(t.delay) as s from events e join trips t on t.k = e.k "
        "group by e.k"
    )
    events = [event(BASE), event(BASE, 2), event(BASE, k="b")]
    rides: list[Row] = [("a", BASE, None, 3), ("a", BASE, None, 4), ("b", BASE, None, 5)]
    held(
        sql,
        [EVENTS, trips],
        [
            (BASE, {"events": events, "trips": rides}),
            (BASE, {"events": events[:2], "trips": rides[:2]}),
            (BASE, {"events": events[:1], "trips": rides[:1]}),
            (BASE, {"events": [], "trips": []}),
        ],
    )


def test_a_step_counts_a_duplicate() -> None:
    row = event(BASE)
    _events(LIFETIME, (BASE, [row]), (BASE, [row, row]), (BASE, [row] * 3), (BASE, [row] * 2))


def test_a_step_may_go_back_in_time() -> None:
    rows = [event(BASE), event(BASE + QUARTER, 5), event(BASE + 2 * QUARTER, k="b")]
    _events(WINDOW, (BASE + 2 * HOUR, rows), (BASE + QUARTER, rows), (BASE - US, rows))


def test_a_change_taken_back_is_seen() -> None:
    rows = [event(BASE)]
    more = [*rows, event(BASE, 5)]
    _events(LIFETIME, (BASE, rows), (BASE, more), (BASE, rows), (BASE, more))
