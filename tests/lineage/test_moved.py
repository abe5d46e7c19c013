"""No edge is missing: whatever a changed column moves has an edge from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_specs import FeatureView, Leaf
from lineage import relation
from tests.feature_specs.oracle import Row
from tests.lineage.moved import Found, hold_to_oracle
from tests.prove.case import Case
from tests.prove.engines import Engines
from tests.prove.run import case_name
from tests.prove.views import draw_case

_SEED = 20240301
_MODELS = Path(__file__).parents[2] / "models"
_START = datetime(2013, 3, 1, tzinfo=UTC)
TZ = "TIMESTAMP WITH TIME ZONE"
_FLIGHTS = {
    "flight_id": "BIGINT", "carrier": "VARCHAR", "flight": "INTEGER", "tailnum": "VARCHAR",
    "origin": "VARCHAR", "dest": "VARCHAR", "scheduled_at": TZ, "departed_at": TZ,
    "arrived_at": TZ, "dep_delay": "INTEGER", "arr_delay": "INTEGER", "air_time": "INTEGER",
    "distance": "INTEGER",
}  # fmt: skip


@pytest.mark.slow
def test_drawn_views_have_no_missing_edge() -> None:
    engines = Engines()
    found = [hold_to_oracle(draw_case(case_name(_SEED, n)), engines) for n in range(20)]
    missing = [f"{f.name}: {', '.join(sorted(set(f.missing)))}" for f in found if f.missing]
    assert not missing, "\n".join(missing)
    moved = sum(sum(f.edges.values()) for f in found)
    assert moved > sum(len(f.edges) for f in found) // 4


@pytest.mark.slow
def test_the_oracle_notices_an_edge_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = relation.of_leaf

    def without_a_column(*given: object) -> relation.Relation:
        found = whole(*given)  # type: ignore[arg-type]
        return replace(found, columns={**found.columns, "arr_delay": {}})

    monkeypatch.setattr("lineage.follow_columns.of_leaf", without_a_column)
    case = _flights_case("route_history", ("origin", "dest"), "stg_arrivals", _ARRIVALS, {})
    missing = set(hold_to_oracle(case, Engines()).missing)
    assert missing == {"mean_arr_delay_30d.nyc_arrivals.arr_delay"}


def _flight_rows() -> list[Row]:
    """Three weeks of flights of a small timetable, a few of which never left or never came in."""
    rows: list[Row] = []
    for n in range(120):
        at = _START + timedelta(hours=4 * n, microseconds=n)
        left = None if n % 17 == 3 else at + timedelta(minutes=n % 50)
        came = None if left is None or n % 13 == 5 else left + timedelta(hours=2, minutes=n % 30)
        rows.append(
            (n, ["AA", "UA", "B6"][n % 3], n % 40, f"N{n % 7}", ["JFK", "LGA", "EWR"][n % 3 - n % 2],
             ["MIA", "BOS"][n % 2], at, left, came, None if left is None else n % 50 - 9,
             None if came is None else n % 47 - 11, None if came is None else 90 + n % 30, 1000 + n)
        )  # fmt: skip
    return rows


_KNOWN = dict.fromkeys(("arrived_at", "arr_delay", "air_time"), "arrived_at")
_DEPARTURES = Leaf("nyc_departures", _FLIGHTS, event_time="departed_at", known_later=_KNOWN)
_ARRIVALS = Leaf("nyc_arrivals", _FLIGHTS, event_time="departed_at", loaded_at="arrived_at")


def _flights_case(
    name: str, entities: tuple[str, ...], model: str, leaf: Leaf, options: dict[str, object]
) -> Case:
    text = (_MODELS / "features" / f"{name}.sql").read_text()
    source = leaf.name.removeprefix("nyc_")
    staged = (_MODELS / "staging" / f"{model}.sql").read_text()
    models = {model: staged.replace(f"{{{{ source('nyc', '{source}') }}}}", leaf.name)}
    view = FeatureView(
        name,
        text.replace(f"{{{{ ref('{model}') }}}}", model),
        entities,
        models=models,
        **options,  # type: ignore[arg-type]
    )
    spine: list[Row] = [
        (n, *("" for _ in entities), _START + timedelta(days=day), None)
        for n, day in enumerate((2, 5, 8, 11, 15, 19))
    ]
    return Case(name, view, (leaf,), {leaf.name: _flight_rows()}, spine)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "entities", "model", "leaf", "options"),
    [
        ("carrier_arrivals", ("carrier",), "stg_arrivals", _ARRIVALS, {}),
        ("route_history", ("origin", "dest"), "stg_arrivals", _ARRIVALS, {}),
        ("origin_departures", ("origin",), "stg_departures", _DEPARTURES, {}),
        (
            "aircraft_last_flight",
            ("tailnum",),
            "stg_departures",
            _DEPARTURES,
            {"event_time": "departed_at", "tie_break": ("flight_id",), "ttl": timedelta(days=7)},
        ),
    ],
)
def test_the_flights_have_no_missing_edge(
    name: str, entities: tuple[str, ...], model: str, leaf: Leaf, options: dict[str, object]
) -> None:
    found: Found = hold_to_oracle(_flights_case(name, entities, model, leaf, options), Engines())
    assert not found.refused
    assert not found.missing
    untied = {e for e, codes in found.why.items() if not all(c.endswith("+tie") for c in codes)}
    assert sum(found.edges[edge] for edge in untied) > len(untied) // 2
