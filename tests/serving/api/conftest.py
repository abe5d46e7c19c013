"""A synced project with views of each kind, and a client of its API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import Column, Feature
from serving.api import create_app
from serving.sync import sync
from tests.serving.api.guarded import guarded, synced
from tests.serving.project import UTC_US, Project, carriers, hours, instant, make_view

__all__ = ["guarded", "synced"]  # fixtures

MORNING = instant("07-01T08:00")


@pytest.fixture
def served(project: Project) -> Project:
    """Synced at 08:00, served at the catalog's now, 12:00."""
    delays = make_view(
        "delays",
        features=(
            Feature("n", "BIGINT", "flights <b>today</b>"),
            Feature("delay", "DOUBLE"),
            Feature("excess", "DOUBLE", "", ["sub", ["request", "minutes"], ["column", "delay"]]),
            Feature("known", "BIGINT", "", ["coalesce", ["column", "n"], ["literal", 0, "BIGINT"]]),
            Feature("label", "VARCHAR", "", ["lower", ["column", "carrier"]]),
            Feature("share", "BIGINT", "", ["intdiv", ["literal", 12, "BIGINT"], ["column", "n"]]),
        ),
        requests=(Column("minutes", "DOUBLE"),),
        freshness_us=hours(24),
    )
    last = make_view(
        "last__seen",
        entities=(Column("origin", "VARCHAR"), Column("flight", "INTEGER")),
        stored=(Column("gate", "VARCHAR"),),
        event_time="seen_at",
        ttl_us=hours(6),
        features=(
            Feature("gate", "VARCHAR"),
            Feature("since_s", "DOUBLE", "", ["epoch", ["sub", ["clock"], ["column", "seen_at"]]]),
        ),
    )
    strict = make_view("strict", freshness_us=hours(4) - 1, on_stale="null")
    project.add(delays, last, strict)
    project.service("arrival", ("delays", "n"), ("last__seen", "gate"))
    rows = carriers({"AA": (3, 1.5), "B6": (None, float("nan")), "Ü": (0, -0.5)})
    project.build(delays, rows, MORNING)
    project.build(strict, rows, MORNING)
    seen = [instant("07-01T06:00"), instant("07-01T05:59:59.999999"), instant("07-01T07:00")]
    gates = {
        "origin": ["JFK", "JFK", "EWR"],
        "flight": pa.array([1, 2, 1], pa.int32()),
        "seen_at": pa.array(seen, UTC_US),
        "gate": ["A1", "B2", None],
    }
    project.build(last, pa.table(gates), MORNING)
    sync(project.catalog)
    return project


@pytest.fixture
def client(served: Project) -> Iterator[TestClient]:
    with TestClient(create_app(served.catalog)) as made:
        yield made


def ask(client: TestClient, **body: Any) -> dict[str, Any]:
    """The answer's (values, statuses, event timestamps) by feature name."""
    response = client.post("/get-online-features", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    names = answer["metadata"]["feature_names"]
    assert len(names) == len(answer["results"])
    return dict(zip(names, answer["results"], strict=True))
