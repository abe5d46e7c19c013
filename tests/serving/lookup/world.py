"""A store with views of every kind, and what each of them answers, told from plain Python values."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from feature_specs.catalog import Catalog, Column, Feature, ViewEntry
from feature_specs.instants import epoch_us
from feature_specs.sql_types import parse_type
from serving.keys import encode_key
from serving.state import ViewState
from serving.stores import StoredView, open_store
from tests.serving.project import hours, instant, make_view
from tests.serving.stored_rows import encode_row, encode_value

NOW, SYNCED = instant("07-01T12:00"), instant("07-01T08:00")
EPOCH = "1970-01-01T00:00:00Z"
USER, SHOP = Column("user_id", "VARCHAR"), Column("shop", "INTEGER")
USERS, SHOPS = [f"u{i}" for i in range(8)] + ["ü"], [1, 2]

#: A feature's value, status and time.
Answer = tuple[Any, str, str]
#: By key the event time, if there is one, and the stored values.
Rows = dict[tuple[Any, ...], tuple[datetime | None, dict[str, Any]]]


@dataclass
class Kind:
    """A view and its rows.

    Attributes:
        computed: from a row's values, the key, the event time and the request value.
    """

    view: ViewEntry
    rows: Rows
    computed: dict[str, Callable[[Mapping[str, Any], Any, Any, Any], Any]] = field(
        default_factory=dict
    )
    withheld: bool = False

    def answer(self, feature: str, key: tuple[Any, ...], asked: Any) -> Answer:
        """What a lookup of one feature answers for one entity."""
        row = None if None in key else self.rows.get(key)
        if row is None:
            return None, "NOT_FOUND", EPOCH
        event_time, values = row
        time = shown(SYNCED if event_time is None else event_time)
        ttl = self.view.ttl_us
        expired = ttl is not None and event_time is not None and us(NOW) - us(event_time) > ttl
        if self.withheld or expired:
            return None, "OUTSIDE_MAX_AGE", time
        if feature in self.computed:
            value = self.computed[feature](values, key, event_time, asked)
        else:
            value = values[feature]
        return value, "PRESENT" if value is not None else "NULL_VALUE", time


def us(moment: datetime) -> int:
    return epoch_us(moment)


def shown(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat() + "Z"


def kinds() -> dict[str, Kind]:
    """Views of one key and of two, as-of and history, with ttl, withheld, and read-time features."""
    draw = random.Random(3)
    strict = make_view("strict", entities=(USER,), freshness_us=hours(1), on_stale="null")
    return {
        "clicks": _clicks(draw),
        "visits": _visits(draw),
        "strict": Kind(
            strict, {(u,): (None, {"n": 1, "delay": 1.0}) for u in USERS[:6]}, withheld=True
        ),
        "pairs": _pairs(draw),
        "bare": _bare(),
    }


def _clicks(draw: random.Random) -> Kind:
    """As-of, of one key, with a request value."""
    view = make_view(
        "clicks",
        entities=(USER,),
        stored=(Column("label", "VARCHAR"), Column("n", "BIGINT"), Column("d", "DOUBLE")),
        features=(
            Feature("label", "VARCHAR"),
            Feature("n", "BIGINT"),
            Feature("plus", "BIGINT", "", ["add", ["column", "n"], ["request", "k"]]),
            Feature("d", "DOUBLE"),
            Feature("who", "VARCHAR", "", ["lower", ["column", "user_id"]]),
        ),
        requests=(Column("k", "BIGINT"),),
    )
    some = [u for u in USERS if draw.random() < 0.8]
    rows: Rows = {
        (u,): (
            None,
            {
                "label": f"clicks null {u}\0",
                "n": draw.choice([None, i, i, i]),
                "d": draw.choice([None, i / 4, i / 4]),
            },
        )
        for i, u in enumerate(some)
    }
    return Kind(
        view,
        rows,
        {
            "plus": lambda row, key, time, k: (
                None if row["n"] is None or k is None else row["n"] + k
            ),
            "who": lambda row, key, time, k: key[0].lower(),
        },
    )


def _visits(draw: random.Random) -> Kind:
    """A history with a ttl, whose rows lie on both sides of it."""
    edge = NOW - timedelta(hours=6)
    times = [edge, edge - timedelta(microseconds=1), SYNCED, SYNCED - timedelta(seconds=1.5)]
    view = make_view(
        "visits",
        entities=(USER,),
        stored=(Column("page", "VARCHAR"),),
        event_time="seen_at",
        ttl_us=hours(6),
        features=(
            Feature("page", "VARCHAR"),
            Feature("since", "DOUBLE", "", ["epoch", ["sub", ["clock"], ["column", "seen_at"]]]),
        ),
    )
    rows: Rows = {
        (u,): (times[i % 4], {"page": draw.choice([None, f"visits {u}"])})
        for i, u in enumerate(USERS[2:])
    }
    return Kind(view, rows, {"since": lambda row, key, time, k: (us(NOW) - us(time)) / 1e6})


def _pairs(draw: random.Random) -> Kind:
    """A history of two keys."""
    view = make_view(
        "pairs",
        entities=(USER, SHOP),
        stored=(Column("note", "VARCHAR"), Column("m", "BIGINT")),
        features=(Feature("note", "VARCHAR"), Feature("m", "BIGINT")),
        event_time="at",
    )
    rows: Rows = {
        (u, s): (SYNCED, {"note": f"pairs {u} {s}", "m": draw.choice([None, s])})
        for u in USERS
        for s in SHOPS
        if draw.random() < 0.7
    }
    return Kind(view, rows)


def _bare() -> Kind:
    """As-of, with no stored column."""
    view = make_view(
        "bare",
        entities=(USER,),
        stored=(),
        features=(Feature("echo", "VARCHAR", "", ["lower", ["column", "user_id"]]),),
    )
    rows: Rows = {(u,): (None, {}) for u in USERS[::2]}
    return Kind(view, rows, {"echo": lambda row, key, time, k: key[0].lower()})


def write(catalog: Catalog, made: Iterable[Kind]) -> None:
    """Store the rows of all views."""
    store = open_store(catalog.online)
    for kind in made:
        view = kind.view
        rows = [
            (
                encode_key([str(part) for part in key]),
                encode_row(
                    None if time is None else us(time),
                    [encode_value(parse_type(c.type), values[c.name]) for c in view.stored],
                ),
            )
            for key, (time, values) in kind.rows.items()
        ]
        state = ViewState(us(SYNCED), view.semantic_hash, len(rows))
        store.write(StoredView.of(view), rows, (), state.dumps(), replace=True)
    store.close()


def make_catalog(folder: Path, made: Mapping[str, Kind]) -> Catalog:
    """A catalog of the views, over a store in a folder."""
    return Catalog(
        project="world",
        lake={},
        online=f"lmdb://{folder}/online.lmdb",
        now=NOW.isoformat(),
        views={name: kind.view for name, kind in made.items()},
    )
