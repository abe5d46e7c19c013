"""Leaves of every role, small random tables for them, and spines that ask at the edges."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from feature_specs.leaf import Changelog, Leaf
from tests.feature_specs.oracle import Row

BASE = datetime(2024, 2, 27, tzinfo=UTC)
US = timedelta(microseconds=1)
QUARTER = timedelta(minutes=15)
TZ = "TIMESTAMP WITH TIME ZONE"

_EVENT_COLUMNS = {
    "k": "VARCHAR", "j": "INTEGER", "ts": TZ, "loaded": TZ, "x": "INTEGER",
    "d": "DECIMAL(12,2)", "f": "DOUBLE", "s": "VARCHAR", "ok": "BOOLEAN",
}  # fmt: skip

EVENTS = Leaf("events", _EVENT_COLUMNS, event_time="ts")
LATE = Leaf("events", _EVENT_COLUMNS, event_time="ts", loaded_at="loaded")
SEEN_AT_EVENT = Leaf(
    "events", _EVENT_COLUMNS, event_time="ts", loaded_at="loaded", visibility="event"
)
DIMS = Leaf("dims", {"k": "VARCHAR", "region": "VARCHAR", "weight": "INTEGER"}, static=True)
VERSIONS = Leaf(
    "versions",
    {"k": "VARCHAR", "plan": "VARCHAR", "price": "INTEGER", "since": TZ, "until": TZ},
    valid_from="since",
    valid_to="until",
)
KEPT_VERSIONS = Leaf(
    "versions", VERSIONS.columns, valid_from="since", valid_to="until", visibility="history"
)
OPEN_VERSIONS = Leaf(
    "versions",
    VERSIONS.columns,
    valid_from="since",
    valid_to="until",
    valid_to_open="9999-12-31 00:00:00+00",
)
TRIPS = Leaf(
    "trips",
    {"k": "VARCHAR", "ts": TZ, "ended": TZ, "delay": "INTEGER"},
    event_time="ts",
    known_later={"ended": "ended", "delay": "ended"},
)
CHANGES = Leaf(
    "changes",
    {"id": "INTEGER", "k": "VARCHAR", "ts": TZ, "amount": "INTEGER", "gone": "BOOLEAN"},
    event_time="ts",
    changelog=Changelog(("id",), "gone"),
)
DAYS = Leaf("days", {"k": "VARCHAR", "day": "DATE", "x": "INTEGER"}, event_time="day")
LOCAL = Leaf(
    "local",
    {"k": "VARCHAR", "ts": "TIMESTAMP", "x": "INTEGER"},
    event_time="ts",
    timezone="America/New_York",
)
BILLS = Leaf("bills", {"k": "VARCHAR", "ts": TZ, "x": "INTEGER"}, event_time="ts")

KEYS = ["a", "b", "c", "é|1", None]
INTS = [None, -3, 0, 1, 2, 2, 7, 40]
FLOATS = [None, 0.1, -2.5, 1e-7, 3.3, 3.3, 1e3]


def _moment(rng: random.Random, quarters: int = 96) -> datetime:
    jitter = rng.choice([timedelta()] * 8 + [US, -US])
    return BASE + rng.randrange(quarters) * QUARTER + jitter


def _events(rng: random.Random, n: int = 60) -> list[Row]:
    rows: list[Row] = []
    for _ in range(n):
        ts = _moment(rng)
        # Some arrive at once, some early, some hours late, some after every window, some never.
        loaded = rng.choice(
            [ts, ts, ts - QUARTER, ts + QUARTER, ts + 5 * QUARTER, ts + 30 * QUARTER, None]
        )
        d = rng.choice([None, Decimal("0.10"), Decimal("-7.25"), Decimal("12345.67")])
        row = (
            rng.choice(KEYS), rng.choice([1, 1, 2, None]), rng.choice([ts] * 15 + [None]), loaded,
            rng.choice(INTS), d, rng.choice(FLOATS), rng.choice(["p", "q", "ü", None]),
            rng.choice([True, False, None]),
        )  # fmt: skip
        rows += [row] * rng.choice([1, 1, 1, 1, 2])
    return rows


def _versions(rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    for k in ("a", "b", "c"):
        since = BASE + rng.randrange(10) * QUARTER
        for _ in range(5):
            until: datetime | None = since + rng.randrange(1, 12) * QUARTER
            rows.append(
                (k, rng.choice(["free", "pro"]), rng.choice([0, 5, 10]), since,
                 rng.choice([until, until, until, None]))
            )  # fmt: skip
            since = since + rng.randrange(1, 14) * QUARTER
        rows.append((k, "odd", 1, since, since - QUARTER))
        rows.append((k, "far", 2, since, datetime(9999, 12, 31, tzinfo=UTC)))
    rows.append((None, "free", 3, BASE, None))
    rows.append(("a", "never", 3, None, None))
    return rows


def _trips(rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    for _ in range(40):
        ts = _moment(rng)
        ended = rng.choice([ts + QUARTER, ts + 7 * QUARTER, ts + 30 * QUARTER, None])
        rows.append((rng.choice(KEYS), ts, ended, None if ended is None else rng.choice(INTS)))
    return rows


def _changes(rng: random.Random) -> list[Row]:
    times = rng.sample(range(96), 60)
    return [
        (rng.randrange(8), rng.choice(["a", "b", "c", None]), BASE + n * QUARTER,
         rng.choice(INTS), rng.choice([False, False, False, None, True]))
        for n in times
    ]  # fmt: skip


def _days(rng: random.Random) -> list[Row]:
    return [
        (rng.choice(KEYS), rng.choice([(BASE + timedelta(days=n)).date(), None]), rng.choice(INTS))
        for n in range(-20, 4)
    ]


def _local(rng: random.Random) -> list[Row]:
    return [
        (rng.choice(KEYS), _moment(rng).replace(tzinfo=None), rng.choice(INTS)) for _ in range(30)
    ]


def _bills(rng: random.Random) -> list[Row]:
    start = datetime(2024, 1, 25, tzinfo=UTC)
    times = [start + timedelta(hours=6 * rng.randrange(300)) for _ in range(60)]
    times += [datetime(2024, 1, d, 15, tzinfo=UTC) for d in (29, 30, 31)]
    return [(rng.choice(KEYS), t, rng.choice(INTS)) for t in times]


_MAKERS: Mapping[str, Callable[[random.Random], list[Row]]] = {
    "events": _events,
    "dims": lambda _: [("a", "n", 3), ("b", "s", 5), ("é|1", None, None), (None, "n", 1)],
    "versions": _versions,
    "trips": _trips,
    "changes": _changes,
    "days": _days,
    "local": _local,
    "bills": _bills,
}


def make_rows(leaf: Leaf, seed: int) -> list[Row]:
    """Random rows of a leaf: nulls, ties, duplicates, late rows."""
    return _MAKERS[leaf.name](random.Random(f"{leaf.name} {seed}"))


def instants_of(tables: Sequence[Sequence[Row]]) -> list[datetime]:
    """Every aware instant that stands in the rows, less those too far off to add to."""
    found = {
        v
        for rows in tables
        for row in rows
        for v in row
        if isinstance(v, datetime) and v.tzinfo is not None and v.year < 9000
    }
    return sorted(found)


def make_spine(
    tables: Sequence[Sequence[Row]],
    widths: Sequence[timedelta],
    entities: int,
    seed: int,
    size: int = 60,
) -> list[Row]:
    """Spine rows (id, keys..., ts, amount): at edges, beside them, twice, with null keys."""
    rng = random.Random(seed)
    times = instants_of(tables) or [BASE + n * QUARTER for n in range(96)]
    edges = [timedelta(), timedelta(), *widths]
    rows: list[Row] = []
    while len(rows) < size:
        t: datetime | None = rng.choice(times) + rng.choice(edges)
        assert t is not None
        t = rng.choice([t, t, t, t - US, t + US, BASE + rng.randrange(200) * QUARTER])
        if rng.random() < 0.04:
            t = None
        keys: list[Any] = [rng.choice(["a", "a", "b", "b", "c", "é|1", "z", None])]
        keys += [rng.choice([1, 1, 2, None]) for _ in range(entities - 1)]
        row = (*keys, t, rng.choice([None, 0.5, 10.0]))
        rows += [row] * rng.choice([1, 1, 1, 2])
    return [(i, *row) for i, row in enumerate(rows)]
