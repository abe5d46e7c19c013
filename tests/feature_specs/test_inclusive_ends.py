"""Versions whose valid_to is the last instant, or the last day, at which they are in force."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_specs.compile import compile_view
from feature_specs.errors import SpecError
from feature_specs.leaf import Leaf
from feature_specs.leaf_options import check_leaf_options
from feature_specs.view import FeatureView
from tests.feature_specs.agreement import make_world
from tests.feature_specs.oracle import Oracle, Row, connect
from tests.feature_specs.worlds import BASE, EVENTS, QUARTER, TZ, US, VERSIONS, make_rows
from tests.lakehouse.builds import HOUR, Build

pytestmark = pytest.mark.many_cases

DAY = timedelta(days=1)


def _leaf(since: str, until: str, **options: Any) -> Leaf:
    columns = {**VERSIONS.columns, "since": since, "until": until}
    return Leaf(
        "versions",
        columns,
        **{"valid_from": "since", "valid_to": "until", "valid_to_inclusive": True, **options},
    )


INSTANTS = _leaf(TZ, TZ)
LEAVES = {
    "instants": INSTANTS,
    "closed ones kept": _leaf(TZ, TZ, visibility="history"),
    "a sentinel": _leaf(TZ, TZ, valid_to_open="9999-12-31 00:00:00+00"),
    "of New York": _leaf("TIMESTAMP", "TIMESTAMP", timezone="America/New_York"),
    "days": _leaf("DATE", "DATE"),
    "days from their start": _leaf("DATE", "DATE", date_visible="start"),
    "days kept": _leaf("DATE", "DATE", visibility="history"),
    "from an instant to a day": _leaf(TZ, "DATE"),
    "from an instant to a day, from its start": _leaf(TZ, "DATE", date_visible="start"),
    "from a day to an instant": _leaf("DATE", TZ),
}
VIEWS = {
    "rows": (
        "select k, count(*) as n, sum(price) as p, count(until) as closed, max(until) as last "
        "from versions group by k",
        False,
    ),
    "open ones": ("select k, count(*) as n from versions where until is null group by k", False),
    "joined": (
        "select e.k, count(*) as n, count(v.plan) as plans, max(v.until) as last from events e "
        "left join versions v on v.k = e.k and e.ts >= now() - interval '6' hour group by e.k",
        True,
    ),
    "absent": (
        "select k, count(*) as n from events e where not exists "
        "(select 1 from versions v where v.k = e.k) group by k",
        True,
    ),
}


def _as_type(moment: datetime, kind: str) -> datetime | date:
    if kind == "DATE":
        return moment.date()
    return moment if kind == TZ else moment.replace(tzinfo=None)


def _rows(leaf: Leaf, seed: int) -> list[Row]:
    """Versions one after another, some of one microsecond or day, some turned round, some open."""
    rng, rows = random.Random(seed), []
    unit = DAY if "DATE" in leaf.columns.values() else QUARTER
    for k in ("a", "b", "c"):
        since = BASE + rng.randrange(3) * unit
        for _ in range(5):
            until = since + rng.choice([0, 0, 1, 2, 5]) * unit
            kinds = (leaf.columns["since"], leaf.columns["until"])
            start, end = _as_type(since, kinds[0]), _as_type(until, kinds[1])
            rows.append((k, rng.choice(["free", "pro"]), rng.choice([0, 5, 10]), start,
                         rng.choice([end, end, end, end, None])))  # fmt: skip
            since = until + (US if unit is QUARTER else DAY)
        rows.append((k, "odd", 1, _as_type(since, kinds[0]), _as_type(since - unit, kinds[1])))
        if leaf.valid_to_open:
            rows.append((k, "far", 2, since, datetime(9999, 12, 31, tzinfo=UTC)))
    return rows


def _edges(leaf: Leaf, rows: list[Row]) -> list[datetime]:
    moments = {BASE - DAY}
    for value in (v for row in rows for v in row[3:5] if v is not None):
        if not isinstance(value, datetime):
            day = datetime(value.year, value.month, value.day, tzinfo=UTC)
            moments |= {day, day + DAY, day + 2 * DAY}
        elif value.tzinfo is None:
            moments.add(value.replace(tzinfo=UTC) + timedelta(hours=5))
        elif value.year < 9000:
            moments.add(value)
    return sorted(m + step for m in moments for step in (-US, timedelta(), US))


@pytest.mark.parametrize(
    ("name", "view"),
    [
        *((name, "rows") for name in LEAVES),
        *((name, view) for name in ("instants", "days") for view in list(VIEWS)[1:]),
        ("closed ones kept", "open ones"),
        ("a sentinel", "joined"),
    ],
)
def test_every_variant_gives_what_the_oracle_gives(name: str, view: str) -> None:
    leaf = LEAVES[name]
    sql, joins = VIEWS[view]
    leaves = (EVENTS, leaf) if joins else (leaf,)
    rows = _rows(leaf, 3)
    tables = {"versions": rows, "events": make_rows(EVENTS, 3)[:12]}
    rng = random.Random(1)
    asked = rng.sample(_edges(leaf, rows), 30)
    spine = [(i, rng.choice("abc"), t, 0.5) for i, t in enumerate(asked)]
    world = make_world(FeatureView("v", sql, ["k"]), leaves, tables, spine)
    assert "decorrelated" in world.check_point_in_time()
    world.check_as_of(asked[:8])
    world.check_online(asked[8:12], QUARTER)


_FROM, _TO = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("leaf", "first", "last"),
    [
        (INSTANTS, _FROM, _TO),
        (replace(INSTANTS, valid_to_inclusive=False), _FROM, _TO - US),
        (LEAVES["of New York"], _FROM + timedelta(hours=5), _TO + timedelta(hours=5)),
        (LEAVES["days from their start"], _FROM, _TO + DAY - US),
        (LEAVES["days"], _FROM + DAY, _TO + 2 * DAY - US),
        (LEAVES["from an instant to a day"], _FROM, _TO + DAY - US),
        (LEAVES["from an instant to a day, from its start"], _FROM, _TO + DAY - US),
    ],
)
def test_when_the_version_is_in_force(leaf: Leaf, first: datetime, last: datetime) -> None:
    kinds = (leaf.columns["since"], leaf.columns["until"])
    row = ("a", "pro", 1, _as_type(_FROM, kinds[0]), _as_type(_TO, kinds[1]))
    spine = [(i, "a", t, 0.5) for i, t in enumerate((first - US, first, last, last + US))]
    view = FeatureView("v", "select k, count(*) as n from versions group by k", ["k"])
    world = make_world(view, (leaf,), {"versions": [row]}, spine)
    rows = world.connection.execute(world.compiled.point_in_time()).fetchall()
    assert [n for *_, n in sorted(rows)] == [None, 1, 1, None]
    world.check_point_in_time()


@pytest.mark.parametrize("kind", [TZ, "TIMESTAMP", "DATE"])
def test_a_version_that_starts_and_ends_at_once_is_seen_once(kind: str) -> None:
    leaf = _leaf(kind, kind, date_visible="start", timezone="UTC", visibility="arrival")
    row = ("a", "pro", 1, _as_type(_FROM, kind), _as_type(_FROM, kind))
    end = _FROM + (DAY if kind == "DATE" else US)
    times = (_FROM - US, _FROM, end - US, end)
    view = FeatureView("v", "select k, plan from versions", ["k"])
    world = make_world(
        view, (leaf,), {"versions": [row]}, [(i, "a", t, 0.5) for i, t in enumerate(times)]
    )
    rows = world.connection.execute(world.compiled.point_in_time()).fetchall()
    assert [plan for *_, plan in sorted(rows)] == [None, "pro", "pro", None]
    world.check_point_in_time()


def test_nanoseconds_leave_neither_a_gap_nor_an_overlap() -> None:
    """The last nanosecond of a second is over when the next second starts."""
    leaf = _leaf("TIMESTAMP_NS", "TIMESTAMP_NS", timezone="UTC")
    connection = connect()
    connection.execute(
        "create table versions as select 'a' as k, plan, 1 as price, since::timestamp_ns as since, "
        "until::timestamp_ns as until from (values "
        "('old', '1969-01-01 00:00:00', '1969-12-31 23:59:57.999999999'), "
        "('mid', '1969-12-31 23:59:58', '2024-01-01 00:00:00.999999999'), "
        "('new', '2024-01-01 00:00:01', null)) as t(plan, since, until)"
    )
    connection.execute(
        "create table spine as select 'a' as k, ts from (values "
        "(timestamptz '1969-12-31 23:59:57.999999+00'), ('1969-12-31 23:59:58+00'), "
        "('2024-01-01 00:00:00.999999+00'), ('2024-01-01 00:00:01+00')) as t(ts)"
    )
    sql = "select k, string_agg(plan, ',' order by plan) as v from versions group by k"
    compiled = compile_view(FeatureView("v", sql, ["k"]), leaves=[leaf])
    for lowering in (None, "decorrelated"):
        statement = compiled.point_in_time(lowering=lowering)
        rows = connection.execute(f"select v from ({statement}) order by ts").fetchall()
        assert rows == [("old",), ("mid",), ("mid",), ("new",)]


def test_an_infinite_end_is_never_reached() -> None:
    connection = connect()
    connection.execute(
        "create table versions as select 'a' as k, 'pro' as plan, 1 as price, * from (values "
        "(timestamptz '-infinity', timestamptz 'infinity'), ('-infinity', '-infinity')) "
        "as t(since, until)"
    )
    connection.execute("create table spine as select 'a' as k, timestamptz '2024-01-01' as ts")
    view = FeatureView("v", "select k, count(*) as n from versions group by k", ["k"])
    compiled = compile_view(view, leaves=[INSTANTS])
    for lowering in (None, "decorrelated"):
        statement = compiled.point_in_time(lowering=lowering)
        assert connection.execute(f"select n from ({statement})").fetchall() == [(1,)]


def test_steps_reach_what_the_oracle_says_as_versions_end(tmp_path: Path) -> None:
    view = FeatureView(
        "plans",
        "select k, count(*) as n, sum(price) as p, count(until) as c from versions group by k",
        ("k",),
    )
    build = Build(tmp_path, view, (INSTANTS,))
    build.append(INSTANTS, [("a", "one", 1, BASE, BASE + HOUR), ("b", "p", 4, BASE, BASE)])
    for step, at in enumerate((BASE, BASE + US, BASE + HOUR, BASE + HOUR + US)):
        build.advance(at)
        build.check(at)
        build.append(INSTANTS, [("a", "late", step, BASE + QUARTER, BASE + HOUR)])
    build.advance(BASE + 2 * HOUR)
    build.check(BASE + 2 * HOUR)


@pytest.mark.parametrize("engine", ["trino", "spark"])
def test_engines_are_told_of_the_last_instant(engine: str) -> None:
    for leaf in (INSTANTS, LEAVES["days"], LEAVES["of New York"]):
        leaf = replace(leaf, name="w.versions")
        view = FeatureView("v", "select k, count(*) as n from w.versions group by k", ["k"])
        inclusive = compile_view(view, leaves=[leaf]).point_in_time(engine=engine)
        plain = replace(leaf, valid_to_inclusive=False)
        assert inclusive != compile_view(view, leaves=[plain]).point_in_time(engine=engine)
        assert "MICROSECOND" not in inclusive  # a unit that neither has


def test_only_an_inclusive_end_changes_the_meaning() -> None:
    view = FeatureView("v", "select k, count(*) as n from versions group by k", ["k"])
    exclusive = replace(INSTANTS, valid_to_inclusive=False)
    hashes = {compile_view(view, leaves=[x]).semantic_hash for x in (INSTANTS, exclusive)}
    assert len(hashes) == 2
    assert compile_view(view, leaves=[VERSIONS]).semantic_hash in hashes


def test_what_cannot_be_inclusive_is_refused() -> None:
    with pytest.raises(SpecError, match="valid_to_inclusive stands without valid_to"):
        replace(INSTANTS, valid_to=None)
    with pytest.raises(SpecError, match=r"meta.valid_to_inclusive is 'yes'"):
        check_leaf_options({"valid_to_inclusive": "yes"}, "sources.yml", snapshot=False)
    with pytest.raises(SpecError, match="a snapshot says valid_to_inclusive"):
        check_leaf_options({"valid_to_inclusive": True}, "snapshots.yml", snapshot=True)
    check_leaf_options({"valid_to_inclusive": True}, "sources.yml", snapshot=False)


def test_the_oracle_knows_the_last_day() -> None:
    """The oracle itself, against days counted by hand: it judges all the rest."""
    leaf = LEAVES["days"]
    view = FeatureView("v", "select k, count(*) as n from versions group by k", ["k"])
    oracle = Oracle(view, [leaf], view.sql)
    oracle.load(leaf, [("a", "pro", 1, date(2024, 1, 1), date(2024, 1, 3))])
    days = [bool(oracle.at(_FROM + n * DAY)) for n in range(6)]
    assert days == [False, True, True, True, False, False]
