"""Small random tables for the leaves: nulls, ties, duplicates, late rows, overlaps."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from feature_specs import Leaf
from tests.feature_specs.oracle import Row
from tests.prove.grid import DAY, Grid
from tests.prove.tables import FAR, NEW_YORK, Family, Table

KEYS = ("a", "a", "a", "a", "b", "b", "é|1")
_INTS = (None, -3, 0, 1, 2, 2, 5, 7, 40)
_CENTS = tuple(Decimal(t) for t in ("0.10", "0.10", "-7.25", "12.50", "999.99"))
_FLOATS = (0.1, -2.5, 1e-7, 3.3, 3.3, 250.75)
_HUGE = (0.01, 0.07, 0.25, 1e16, 1e16)
_WORDS = ("p", "q", "q", "ü")


def draw_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    """Rows of a table: nulls, duplicates, ties, late arrivals, versions that overlap."""
    rows = _MAKERS[table.family](rng, table, grid, size)
    if table.untied or table.family == "changes":
        rows = _untie(table, rows)
    elif table.family not in ("versions", "dims"):
        rows += [rng.choice(rows) for _ in range(len(rows) // 8)] if rows else []
    rng.shuffle(rows)
    return rows


def _untie(table: Table, rows: list[Row]) -> list[Row]:
    """One row a time, whatever its key: what is joined to it by key and time stays one row too."""
    at = list(table.leaf.columns).index(table.leaf.event_time or table.leaf.valid_from or "")
    return list({row[at]: row for row in rows}.values())


def _key(rng: random.Random) -> tuple[str | None, int | None]:
    k = None if rng.random() < 0.03 else rng.choice(KEYS)
    return k, None if rng.random() < 0.03 else rng.choice((1, 1, 1, 2))


def _maybe(rng: random.Random, value: Any, missing: float = 0.1) -> Any:
    return None if rng.random() < missing else value


def _stream_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    rows: list[Row] = []
    floats = _HUGE if table.huge else _FLOATS
    for _ in range(size):
        ts = grid.moment(rng)
        late = rng.choice([0, 0, 0, 0, -1, 1, 1, 2, 5, 9])
        loaded = _maybe(rng, ts + late * grid.step, 0.04)
        rows.append(
            (*_key(rng), _maybe(rng, ts, 0.03), loaded, rng.choice(_INTS),
             rng.choice((None, 3, 3_000_000_000, 11)), _maybe(rng, rng.choice(_CENTS)),
             _maybe(rng, rng.choice(floats)), _maybe(rng, rng.choice(_WORDS)),
             rng.choice((True, True, False, None)))
        )  # fmt: skip
    return rows


def _trip_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    rows: list[Row] = []
    for _ in range(size):
        ts = grid.moment(rng)
        ended = _maybe(rng, ts + rng.choice([1, 1, 2, 4, 9]) * grid.step, 0.15)
        checked = _maybe(rng, ts + rng.choice([0, 1, 3, 6]) * grid.step, 0.15)
        rows.append(
            (*_key(rng), _maybe(rng, ts, 0.03), ended, checked, rng.choice(_INTS),
             rng.choice(_INTS), _maybe(rng, rng.choice(("good", "bad"))),
             _maybe(rng, rng.choice(_CENTS)))
        )  # fmt: skip
    return rows


def _version_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    rows: list[Row] = []
    keyed = [(k, j) for k in dict.fromkeys(KEYS) for j in (1, 2)]
    if "j" not in table.leaf.columns:
        keyed = [(k, j) for k, j in keyed if j == 1]
    for k, j in keyed:
        since = grid.base - 2 * grid.step + rng.randrange(4) * grid.step
        for last in (*[False] * rng.randrange(1, 4), True):
            until: datetime | None = since + rng.randrange(1, 7) * grid.step
            open_ = FAR if table.role == "scd2_open" else None
            end = open_ if last and rng.random() < 0.8 else until
            rows.append(_version(rng, table, k, j, since, end))
            gap = 0 if table.single else rng.choice([0, 0, 0, -1])
            assert until is not None
            since = until + (gap + rng.choice([0, 0, 0, 1])) * grid.step
    if not table.single:
        rows.append(_version(rng, table, "a", 1, grid.base, grid.base))
        rows.append(_version(rng, table, "a", 1, grid.base + grid.step, grid.base))
    rows.append(_version(rng, table, None, 1, grid.base, None))
    rows.append(_version(rng, table, "b", 1, None, None))
    return rows


def _version(
    rng: random.Random, table: Table, k: str | None, j: int, since: datetime | None, until: Any
) -> Row:
    keys = (k, j) if "j" in table.leaf.columns else (k,)
    plan = _maybe(rng, rng.choice(("free", "pro", "pro+")))
    price = rng.choice((None, 0, 5, 10))
    return (*keys, plan, price, _maybe(rng, rng.choice((0.5, 1.25))), since, until)


def _change_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    rows: list[Row] = []
    for _ in range(size + 6):
        ts = grid.moment(rng)
        loaded = _maybe(rng, ts + rng.choice([0, 0, 1, 3, 7]) * grid.step, 0.03)
        rows.append(
            (rng.randrange(6), *_key(rng), _maybe(rng, ts, 0.02), loaded, rng.choice(_INTS),
             _maybe(rng, rng.choice(("new", "paid"))), rng.choice((False, False, False, None, True)))
        )  # fmt: skip
    return rows


def _dim_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    keys: list[tuple[str | None, int | None]] = [("a", 1), ("b", 2), ("é|1", 1), (None, 1)]
    if rng.random() < 0.2:
        keys.remove(("b", 2))
    if not table.single:
        keys += [("a", 2), ("b", 1)]
    return [
        (*key, _maybe(rng, rng.choice(("n", "s"))), rng.choice((None, 1, 2, 3)),
         rng.choice((True, False, None)))
        for key in keys
    ]  # fmt: skip


def _day_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    return [
        (*_key(rng), _maybe(rng, (grid.base + rng.randrange(16) * DAY).date(), 0.03),
         rng.choice(_INTS), _maybe(rng, rng.choice(_CENTS)))
        for _ in range(size)
    ]  # fmt: skip


def _local_rows(rng: random.Random, table: Table, grid: Grid, size: int) -> list[Row]:
    rows: list[Row] = []
    for _ in range(size):
        ts = grid.moment(rng).astimezone(ZoneInfo(NEW_YORK)).replace(tzinfo=None)
        rows.append(
            (*_key(rng), _maybe(rng, ts, 0.03), rng.choice(_INTS),
             _maybe(rng, rng.choice(_FLOATS)), _maybe(rng, rng.choice(_WORDS)))
        )  # fmt: skip
    return rows


_MAKERS: Mapping[Family, Callable[[random.Random, Table, Grid, int], list[Row]]] = {
    "stream": _stream_rows,
    "trips": _trip_rows,
    "versions": _version_rows,
    "changes": _change_rows,
    "dims": _dim_rows,
    "days": _day_rows,
    "local": _local_rows,
}


def instants(leaf: Leaf, rows: Sequence[Row]) -> list[datetime]:
    """Every instant that stands in the rows, less those too far off to add to."""
    found: set[datetime] = set()
    for row in rows:
        for value in row:
            if isinstance(value, datetime):
                zone = ZoneInfo(leaf.timezone) if leaf.timezone else UTC
                aware = value if value.tzinfo else value.replace(tzinfo=zone)
                found.add(aware.astimezone(UTC))
            elif hasattr(value, "toordinal"):
                start = datetime(value.year, value.month, value.day, tzinfo=UTC)
                found |= {start, start + timedelta(days=1)}
    return sorted(t for t in found if t.year < 9000)
