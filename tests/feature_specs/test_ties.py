"""Which of several rows of one event_time answers: tie_break, then last visible, then the rest."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Changelog, Leaf
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import BASE, EVENTS, LATE, QUARTER, TZ, US

pytestmark = pytest.mark.many_cases

HISTORY = "select k, ts, x, s, f from events"


def _dense(seed: int) -> list[Row]:
    """Many rows a key and event_time, arriving in any order."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for _ in range(80):
        ts = BASE + rng.randrange(4) * QUARTER
        rows.append(
            (rng.choice("ab"), 1, ts, ts + rng.randrange(-1, 6) * QUARTER,
             rng.choice([None, 1, 2]), None, rng.choice([None, 0.5, 1.5]),
             rng.choice(["p", "q", None]), True)
        )  # fmt: skip
    return rows


@pytest.mark.parametrize("boundary", ["inclusive", "exclusive"])
@pytest.mark.parametrize("tie_break", [(), ("x",), ("s", "x")], ids=lambda t: "+".join(t) or "none")
@pytest.mark.parametrize("leaf", [EVENTS, LATE], ids=lambda x: str(x.role))
@pytest.mark.parametrize(
    "sql",
    [
        HISTORY,
        HISTORY + " where ts > now() - interval '1' hour",
        pytest.param(HISTORY + " where ts > now() - interval '1' month", marks=pytest.mark.slow),
        "select k, ts, x, s, f, count(*) over (partition by k) as n from events",
        pytest.param(
            "select k, ts, x, s, f, (select count(*) from events o where o.k = e.k) as n from events e",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["lasting", "in a window", "in a month", "beside a window", "beside a subquery"],
)
def test_ties_are_broken_alike(
    sql: str, leaf: Leaf, tie_break: tuple[str, ...], boundary: Any
) -> None:
    view = FeatureView("v", sql, ("k",), event_time="ts", tie_break=tie_break, boundary=boundary)
    rows = _dense(len(tie_break))
    times = [BASE + n * QUARTER + j for n in range(7) for j in (-US, US * 0, US)]
    spine = [(i, key, t, None) for i, (t, key) in enumerate((t, k) for t in times for k in "ab")]
    world = make_world(view, [leaf], {"events": rows}, spine, visible=leaf is LATE)
    world.check_point_in_time()
    world.check_as_of(times)


def test_rows_that_tie_in_an_asof_join_are_told_apart_by_columns_nobody_reads() -> None:
    left = Leaf("l", {"k": "VARCHAR", "ts": "TIMESTAMPTZ"}, event_time="ts")
    right = Leaf(
        "r",
        {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "id": "INTEGER", "x": "INTEGER"},
        event_time="ts",
    )
    sql = "select l.k, sum(r.x) as v from l asof join r on l.k = r.k and l.ts >= r.ts group by l.k"
    compiled = compile_view(FeatureView("v", sql, ["k"]), leaves=[left, right])
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute("create table l as select 'a' as k, timestamptz '2024-01-02' as ts")
    connection.execute(
        "create table r as select 'a' as k, timestamptz '2024-01-01' as ts, "
        "unnest([1, 2]) as id, unnest([50, 7]) as x"
    )
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-01-03' as ts")
    (expected,) = connection.execute(
        f"select v from ({compiled.as_of(datetime(2024, 1, 3, tzinfo=UTC))})"
    ).fetchall()
    for lowering in (None, "cumulative", "stab", "decorrelated"):
        sql = compiled.point_in_time(lowering=lowering)
        assert connection.execute(f"select v from ({sql})").fetchall() == [expected], lowering


@pytest.mark.parametrize("seen", ["", "where done is null or done > ts", "where done > ts or true"])
def test_what_becomes_known_does_not_make_a_row_visible_anew(seen: str) -> None:
    """Rows whose leaf rows became visible together tie, whenever a column of one became known."""
    leaf = Leaf(
        "t",
        {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "done": "TIMESTAMPTZ", "price": "INTEGER"},
        event_time="ts",
        known_later={"done": "done"},
    )
    rows = [
        ("a", BASE, BASE + QUARTER, 3),
        ("a", BASE, None, 5),
        ("a", BASE, BASE + 2 * QUARTER, 4),
    ]
    times = [BASE + n * QUARTER for n in range(4)]
    spine = [(n, "a", t, None) for n, t in enumerate(times)]
    view = FeatureView("v", f"select k, ts, price from t {seen}", ("k",), event_time="ts")
    world = make_world(view, [leaf], {"t": rows}, spine)
    world.check_point_in_time()
    world.check_as_of(times)


_UNION = "select k, ts, x from p union all select k, ts, x from q union all select k, ts, x from r"


@pytest.mark.parametrize(
    "sql",
    [
        _UNION,
        _UNION.replace("union all", "union all by name"),
        f"select k, ts, x from ({_UNION}) as u",
        f"with u as ({_UNION}) select k, ts, x, count(*) over (partition by k) as n from u",
        "select p.k, p.ts, p.x from p join (q join r on q.k = r.k) on p.k = q.k and q.x > p.x "
        f"union all ({_UNION})",
    ],
)
def test_unions_are_ranked_by_when_their_rows_became_visible(sql: str) -> None:
    columns = {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "loaded": "TIMESTAMPTZ", "x": "INTEGER"}
    leaves = [Leaf(name, columns, event_time="ts", loaded_at="loaded") for name in "pqr"]
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for name, x, hour in (("p", 9, 0), ("q", 1, 5), ("r", 2, 1)):
        connection.execute(
            f"create table {name} as select 'a' as k, timestamptz '2024-01-01' as ts, "
            f"timestamptz '2024-01-01 {hour:02}:00:00' as loaded, {x} as x"
        )
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-01-03' as ts")
    compiled = compile_view(FeatureView("v", sql, ["k"], event_time="ts"), leaves=leaves)
    statements = [compiled.as_of(datetime(2024, 1, 3, tzinfo=UTC)), compiled.point_in_time()]
    statements.append(compiled.point_in_time(lowering="decorrelated"))
    for statement in statements:
        assert connection.execute(f"select x from ({statement})").fetchall() == [(1,)]


def test_an_event_time_that_is_not_when_a_row_is_seen() -> None:
    leaf = Leaf(
        "t",
        {"k": "VARCHAR", "ts": "TIMESTAMPTZ", "due": "TIMESTAMPTZ", "x": "INTEGER"},
        event_time="ts",
    )
    rows = [("a", BASE + n * QUARTER, BASE, 9 - n) for n in range(3)]
    compiled = compile_view(
        FeatureView(
            "v",
            "select k, due, x, sum(x) over (partition by k) as s from t",
            ["k"],
            event_time="due",
        ),
        leaves=[leaf],
    )
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute("create table t (k varchar, ts timestamptz, due timestamptz, x integer)")
    connection.executemany("insert into t values (?, ?, ?, ?)", rows)
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-03-03' as ts")
    for lowering in (None, "decorrelated"):
        sql = compiled.point_in_time(lowering=lowering)
        assert connection.execute(f"select x, s from ({sql})").fetchall() == [(7, 24)]


CHANGE_COLUMNS = {
    "id": "INTEGER", "k": "VARCHAR", "loaded": TZ, "amount": "INTEGER", "gone": "BOOLEAN", "ts": TZ,
    "note": "VARCHAR",
}  # fmt: skip
ONCE = Leaf("changes", CHANGE_COLUMNS, event_time="ts", changelog=Changelog(("id",), "gone"))
CHANGES_LATE = replace(ONCE, loaded_at="loaded")
CHANGES_SEEN = replace(CHANGES_LATE, visibility="event")


def _changes(seed: int) -> list[Row]:
    """Several changes of one key at one instant, some of which differ in one column only."""
    rng = random.Random(seed)
    rows: list[Row] = []
    for _ in range(60):
        ts = BASE + rng.randrange(3) * QUARTER
        loaded = ts + rng.choice([-1, 0, 0, 1, 3]) * QUARTER + rng.choice([US * 0, US])
        rows.append(
            (rng.randrange(4), rng.choice("ab"), loaded, rng.choice([None, 1, 2]),
             rng.choice([None, False, False, True]), ts, rng.choice([None, "p", "q"]))
        )  # fmt: skip
    return rows + rows[:10]


@pytest.mark.parametrize("boundary", ["inclusive", "exclusive"])
@pytest.mark.parametrize(
    "leaf", [ONCE, CHANGES_LATE, CHANGES_SEEN], ids=["event", "arrival", "seen at its event"]
)
@pytest.mark.parametrize(
    ("sql", "entity"),
    [
        ("select id as j, k as letter, amount as x, note from changes", "j"),
        ("select k, count(*) as n, sum(amount) as s, max(note) as m from changes group by k", "k"),
    ],
    ids=["rows", "grouped"],
)
def test_changes_of_one_key_at_one_instant(
    sql: str, entity: str, leaf: Leaf, boundary: Any
) -> None:
    times = [BASE + n * QUARTER + j for n in range(6) for j in (US * 0, US)]
    for seed in range(2):
        rows = _changes(seed)
        keys: list[Any] = list(range(4)) if entity == "j" else ["a", "b"]
        spine = [
            (n, key, t, None) for n, (t, key) in enumerate((t, k) for t in times for k in keys)
        ]
        view = FeatureView("v", sql, (entity,), boundary=boundary)
        world = make_world(view, [leaf], {"changes": rows}, spine)
        assert len(world.check_point_in_time()) > 1
        world.check_as_of(times)
        world.check_online(times[::3], QUARTER * 0)


def test_the_rule_for_changes_of_one_instant() -> None:
    """The last visible counts; of those visible at once the greatest by declared order, null least."""
    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    listed = ", ".join(f"{c} {t}" for c, t in CHANGE_COLUMNS.items())
    database.execute(f"create table changes ({listed})")
    at, later = "2024-01-01 00:00+00", "2024-01-01 01:00+00"
    database.execute(
        f"""insert into changes values
        (1, 'a', '{at}', 9, false, '{at}', 'early'), (1, 'a', '{later}', 1, false, '{at}', 'late'),
        (2, 'a', '{at}', null, false, '{at}', 'null'), (2, 'a', '{at}', 0, false, '{at}', 'zero'),
        (3, 'a', '{at}', 5, false, '{at}', 'kept'), (3, 'a', '{at}', 5, true, '{at}', 'gone')"""
    )
    view = FeatureView("v", "select id, note from changes", ["id"])
    compiled = compile_view(view, [CHANGES_LATE])
    for hour, said in ((0, [(1, "early"), (2, "zero")]), (2, [(1, "late"), (2, "zero")])):
        t = datetime(2024, 1, 1, hour, tzinfo=UTC)
        assert sorted(database.execute(compiled.as_of(t)).fetchall()) == said


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select k, ts, x from events", "the one that became visible last"),
        ("select distinct k, ts, x from events", "a row here stands for several"),
        ("select k, ts, x from events union select k, ts, x from events", "stands for several"),
        ("select k, ts, max(x) as x from events group by k, ts", "stands for several"),
    ],
)
def test_explain_says_by_what_ties_are_decided(sql: str, said: str) -> None:
    view = FeatureView("v", sql, ["k"], event_time="ts", tie_break=("x",))
    (line,) = (
        line
        for line in compile_view(view, [LATE]).explain(sql=False).splitlines()
        if line.startswith("ties of")
    )
    assert line.startswith("ties of ts: the greatest x, then ") and said in line
