"""Leaves of every time role, and small random tables for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, count
from typing import Any, Literal

from feature_specs import Changelog, Leaf

TZ = "TIMESTAMP WITH TIME ZONE"
Kind = Literal["int", "dec", "float", "str", "bool", "time", "naive", "day"]
Family = Literal["stream", "trips", "versions", "changes", "dims", "days", "local"]
NEW_YORK = "America/New_York"
FAR = datetime(9999, 12, 31, tzinfo=UTC)

_KEYS = {"k": "VARCHAR", "j": "INTEGER"}
_COLUMNS: Mapping[Family, dict[str, str]] = {
    "stream": {
        **_KEYS, "ts": TZ, "loaded": TZ, "x": "INTEGER", "y": "BIGINT", "d": "DECIMAL(12,2)",
        "f": "DOUBLE", "s": "VARCHAR", "ok": "BOOLEAN",
    },
    "trips": {
        **_KEYS, "ts": TZ, "ended": TZ, "checked": TZ, "x": "INTEGER", "delay": "INTEGER",
        "grade": "VARCHAR", "cost": "DECIMAL(12,2)",
    },
    "versions": {
        **_KEYS, "plan": "VARCHAR", "price": "INTEGER", "rate": "DOUBLE", "since": TZ, "until": TZ,
    },
    "changes": {
        "id": "INTEGER", **_KEYS, "ts": TZ, "loaded": TZ, "amount": "INTEGER",
        "status": "VARCHAR", "gone": "BOOLEAN",
    },
    "dims": {**_KEYS, "region": "VARCHAR", "weight": "INTEGER", "vip": "BOOLEAN"},
    "days": {**_KEYS, "day": "DATE", "x": "INTEGER", "d": "DECIMAL(12,2)"},
    "local": {**_KEYS, "ts": "TIMESTAMP", "x": "INTEGER", "f": "DOUBLE", "s": "VARCHAR"},
}  # fmt: skip
_NAMES: Mapping[Family, Sequence[str]] = {
    "stream": ("events", "clicks", "orders"),
    "trips": ("trips", "rides"),
    "versions": ("versions", "plans"),
    "changes": ("changes", "accounts"),
    "dims": ("dims", "shops"),
    "days": ("days", "reports"),
    "local": ("visits", "scans"),
}
_KINDS: Mapping[str, Kind] = {
    "INTEGER": "int", "BIGINT": "int", "DECIMAL(12,2)": "dec", "DOUBLE": "float",
    "VARCHAR": "str", "BOOLEAN": "bool", TZ: "time", "TIMESTAMP": "naive", "DATE": "day",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A leaf, and what the view's SQL needs of its rows.

    Attributes:
        untied: no two rows share a time, so that "the latest" is one row.
        single: at most one row a key is alive at any instant (versions, dims).
        huge: floats of 1e16 stand next to cents.
    """

    family: Family
    leaf: Leaf
    role: str
    untied: bool = False
    single: bool = False
    huge: bool = False

    @property
    def kinds(self) -> dict[str, Kind]:
        """Column to the kind of its values."""
        return {c: _KINDS[t] for c, t in self.leaf.columns.items()}


def draw_table(rng: random.Random, family: Family, taken: Sequence[str]) -> Table:
    """A leaf of a family, in one of the roles that fit."""
    known = _NAMES[family]
    names = chain(known, (f"{known[0]}{i}" for i in count(2)))
    name = next(n for n in names if n not in taken)
    leaf, role = _ROLES[family](rng, name, _COLUMNS[family])
    return Table(family, leaf, role)


def _stream(rng: random.Random, name: str, columns: dict[str, str]) -> tuple[Leaf, str]:
    role = rng.choice(["event", "event", "event", "arrival", "arrival", "arrival", "event_only"])
    if role == "event":
        return Leaf(name, columns, event_time="ts"), role
    if role == "arrival":
        return Leaf(name, columns, event_time="ts", loaded_at="loaded"), role
    return Leaf(name, columns, event_time="ts", loaded_at="loaded", visibility="event"), role


def _trips(rng: random.Random, name: str, columns: dict[str, str]) -> tuple[Leaf, str]:
    known = {"ended": "ended", "delay": "ended"}
    if rng.random() < 0.5:
        known |= {"grade": "checked", "checked": "checked"}
    return Leaf(name, columns, event_time="ts", known_later=known), "known_later"


def _versions(rng: random.Random, name: str, columns: dict[str, str]) -> tuple[Leaf, str]:
    bounds: dict[str, Any] = {"valid_from": "since", "valid_to": "until"}
    role = rng.choice(["scd2", "scd2", "scd2_open", "scd2_history", "scd2_history"])
    if role == "scd2_open":
        bounds["valid_to_open"] = "9999-12-31 00:00:00+00"
    elif role == "scd2_history":
        bounds["visibility"] = "history"
    return Leaf(name, columns, **bounds), role


def _changes(rng: random.Random, name: str, columns: dict[str, str]) -> tuple[Leaf, str]:
    key = ("id",) if rng.random() < 0.5 else ("k", "j")
    log = Changelog(key, "gone")
    if rng.random() < 0.4:
        late = Leaf(name, columns, event_time="ts", loaded_at="loaded", changelog=log)
        return late, "changelog_arrival"
    return Leaf(name, columns, event_time="ts", changelog=log), "changelog"


def _days(rng: random.Random, name: str, columns: dict[str, str]) -> tuple[Leaf, str]:
    if rng.random() < 0.5:
        return Leaf(name, columns, event_time="day", date_visible="start"), "date_start"
    return Leaf(name, columns, event_time="day"), "date_end"


_ROLES: Mapping[Family, Callable[[random.Random, str, dict[str, str]], tuple[Leaf, str]]] = {
    "stream": _stream,
    "trips": _trips,
    "versions": _versions,
    "changes": _changes,
    "dims": lambda _, name, columns: (Leaf(name, columns, static=True), "static"),
    "days": _days,
    "local": lambda _, name, columns: (
        Leaf(name, columns, event_time="ts", timezone=NEW_YORK),
        "naive",
    ),
}


def make_single(table: Table) -> Table:
    """The same table, no key of which has two rows alive."""
    if table.family == "versions":
        columns = {c: t for c, t in table.leaf.columns.items() if c != "j"}
        return replace(table, leaf=replace(table.leaf, columns=columns), single=True)
    return replace(table, single=True)
