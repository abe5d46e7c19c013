"""The example project's six views against the oracle, over the real year of flights."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from feature_specs.compile import compile_view
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from forebay.example_flights.ingest_flights import ingest_flights
from lakehouse.duckdb_types import column_types
from lakehouse.lake import load_table
from lakehouse.scan import define_relation, pin
from tests.feature_specs.oracle import Features, Key, Oracle, Row, connect, differences, fill
from tests.lakehouse.local_lake import local_lake

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[2] / "models"
US = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
INSTANTS, KEYS_EACH = 210, 10


@dataclass(frozen=True)
class Flights:
    """The tables in a DuckDB, under the names of the leaves, and the leaves."""

    connection: duckdb.DuckDBPyConnection
    leaves: dict[str, Leaf]


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Flights:
    folder = tmp_path_factory.mktemp("lake")
    lake = local_lake(folder)
    ingest_flights(lake)
    connection = connect()
    roles: dict[str, tuple[str, dict[str, Any]]] = {
        "nyc_departures": (
            "nyc.flights",
            {
                "event_time": "departed_at",
                "known_later": dict.fromkeys(
                    ("arrived_at", "arr_delay", "arr_time", "air_time"), "arrived_at"
                ),
            },
        ),
        "nyc_arrivals": ("nyc.flights", {"event_time": "departed_at", "loaded_at": "arrived_at"}),
        "nyc_weather": ("nyc.weather", {"event_time": "observed_at"}),
        "nyc_planes": ("nyc.planes", {"static": True}),
    }
    leaves = {}
    for name, (table, options) in roles.items():
        found = load_table(lake, table)
        define_relation(connection, f"{name}_files", pin(found))
        connection.execute(f"create table {name} as from {name}_files")
        leaves[name] = Leaf(name, column_types(found.schema()), **options)
    return Flights(connection, leaves)


VIEWS = {
    "origin_departures": (["origin"], {}, "nyc_departures"),
    "carrier_arrivals": (["carrier"], {}, "nyc_arrivals"),
    "route_history": (["origin", "dest"], {}, "nyc_arrivals"),
    "aircraft_last_flight": (
        ["tailnum"],
        {"event_time": "departed_at", "tie_break": ("flight_id",), "ttl": timedelta(days=7)},
        "nyc_departures",
    ),
    "origin_weather": (
        ["origin"],
        {"event_time": "observed_at", "ttl": timedelta(hours=3)},
        "nyc_weather",
    ),
    "aircraft_profile": (["tailnum"], {}, "nyc_planes"),
}

_SOURCE = re.compile(r"\{\{\s*source\('nyc',\s*'(\w+)'\)\s*\}\}")
_REF = re.compile(r"\{\{\s*ref\('(\w+)'\)\s*\}\}")


def _staging(name: str) -> str:
    return _SOURCE.sub(r"nyc_\1", (MODELS / "staging" / f"{name}.sql").read_text())


def _spine(flights: Flights, leaf: Leaf, entities: Sequence[str], rng: random.Random) -> list[Row]:
    """Rows (id, keys..., ts): some keys at each of some instants, exact edges among them."""
    keys = flights.connection.execute(
        f"select distinct {', '.join(entities)} from {leaf.name} order by all"
    ).fetchall()
    times = flights.connection.execute(
        "select departed_at, arrived_at from nyc_arrivals where departed_at is not null "
        "and arrived_at is not null order by flight_id"
    ).fetchall()
    hours = flights.connection.execute(
        "select distinct observed_at, observed_at from nyc_weather order by 1"
    ).fetchall()
    rows: list[Row] = []
    for _ in range(INSTANTS):
        t: datetime = rng.choice(rng.choice([times, times, hours]))[rng.randrange(2)]
        width = rng.choice([0, 0, 0, 1, 3, 24, 7 * 24, 30 * 24])
        t += width * HOUR + rng.choice([0, 0, 0, -1, 1]) * US
        for _ in range(KEYS_EACH):
            key = rng.choice([*keys[:40], rng.choice(keys), rng.choice(keys)])
            if rng.random() < 0.02:
                key = tuple(rng.choice([None, "??"]) for _ in entities)
            rows.append((len(rows), *key, t))
    rows += [(len(rows) + i, *row[1:]) for i, row in enumerate(rng.sample(rows, 20))]
    return rows


def _restriction(entities: Sequence[str], keys: set[Key]) -> str:
    tests = []
    for i, entity in enumerate(entities):
        listed = ", ".join(f"'{v}'" for v in sorted({str(k[i]) for k in keys}))
        tests.append(f"{entity} in ({listed})")
    return " and ".join(tests)


@pytest.mark.parametrize("name", VIEWS)
def test_the_example_agrees_with_the_oracle(name: str, flights: Flights) -> None:
    entities, options, source = VIEWS[name]
    leaf = flights.leaves[source]
    text = (MODELS / "features" / f"{name}.sql").read_text()
    models = {ref: _staging(ref) for ref in _REF.findall(text)}
    view = FeatureView(name, _REF.sub(r"\1", text), entities, models=models, **options)  # type: ignore[arg-type]
    compiled = compile_view(view, list(flights.leaves.values()))
    inlined = _REF.sub(lambda found: f"({models[found[1]]}) as {found[1]}", text)
    oracle = Oracle(view, [leaf], inlined)
    rows = flights.connection.sql(f"from {leaf.name}").to_arrow_table()
    oracle.connection.register("rows", rows)
    oracle.connection.execute(f"create table raw_{leaf.name} as from rows")
    spine = _spine(flights, leaf, entities, random.Random(name))
    assert len(spine) >= 2_000
    columns = {"id": "INTEGER", **dict.fromkeys(entities, "VARCHAR"), "ts": "TIMESTAMPTZ"}
    fill(flights.connection, "spine", columns, spine)
    result = flights.connection.execute(compiled.point_in_time())
    features = [f.name for f in compiled.features]
    assert [d[0] for d in result.description or []] == [*columns, *features]
    answers = sorted(result.fetchall(), key=lambda row: int(row[0]))
    assert [row[: len(columns)] for row in answers] == spine
    asked: dict[datetime, set[Key]] = {}
    for row in spine:
        asked.setdefault(row[-1], set()).add(row[1:-1])
    expected: dict[tuple[Key, datetime], Features] = {}
    for t, keys in asked.items():
        for key, values in oracle.at(t, where=_restriction(entities, keys)).items():
            expected[key, t] = values
    absent = dict.fromkeys(features)
    answered = 0
    for row in answers:
        want = expected.get((row[1 : len(columns) - 1], row[len(columns) - 1]), absent)
        actual = dict(zip(features, row[len(columns) :], strict=True))
        wrong = differences(actual, want, 10.0)
        assert not wrong, f"{row[: len(columns)]}: (actual, expected) = {wrong}"
        answered += want is not absent
    assert answered > len(spine) // 4


@pytest.mark.parametrize("name", VIEWS)
def test_as_of_agrees_with_point_in_time(name: str, flights: Flights) -> None:
    entities, options, _ = VIEWS[name]
    text = (MODELS / "features" / f"{name}.sql").read_text()
    models = {ref: _staging(ref) for ref in _REF.findall(text)}
    view = FeatureView(name, _REF.sub(r"\1", text), entities, models=models, **options)  # type: ignore[arg-type]
    compiled = compile_view(view, list(flights.leaves.values()))
    t = datetime.fromisoformat("2013-07-04T12:00:00+00:00")
    result = flights.connection.execute(compiled.as_of(t))
    names = [d[0] for d in result.description or []]
    features = [f.name for f in compiled.features]
    rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    flights.connection.execute(
        f"create or replace table spine as select {', '.join(entities)}, "
        f"timestamptz '{t.isoformat()}' as ts from ({compiled.as_of(t)})"
    )
    result = flights.connection.execute(compiled.point_in_time())
    names = [d[0] for d in result.description or []]
    asked = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    by_key = {tuple(row[e] for e in entities): row for row in asked}
    assert rows and len(by_key) == len(rows) == len(asked)
    for row in rows:
        other = by_key[tuple(row[e] for e in entities)]
        given = {n: row[n] for n in features}
        assert not differences({n: other[n] for n in features}, given, 10.0)
