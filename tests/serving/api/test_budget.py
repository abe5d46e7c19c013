"""A request with a budget is answered with what has come by then, and says what has not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import Column, Feature
from serving.api import create_app
from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view
from tests.serving.slow_store import SlowStore

pytestmark = pytest.mark.slow

BY_CARRIER, TOO = make_view("delays"), make_view("delays_too")
BY_AIRPORT = make_view(
    "queues",
    entities=(Column("airport", "VARCHAR"),),
    stored=(Column("length", "BIGINT"),),
    features=(
        Feature("length", "BIGINT"),
        Feature("more", "BIGINT", "", ["add", ["column", "length"], ["literal", 1, "BIGINT"]]),
    ),
)
ASKED: dict[str, Any] = {
    "features": ["delays:n", "queues:length", "queues:more", "delays_too:delay"],
    "entities": {"carrier": ["AA", "XX"], "airport": ["JFK", None]},
    "ages": True,
}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> SlowStore:
    return SlowStore(monkeypatch)


@pytest.fixture
def client(project: Project, store: SlowStore) -> Iterator[TestClient]:
    project.add(BY_CARRIER, BY_AIRPORT, TOO)
    at = instant("07-01T00:00")
    for view in (BY_CARRIER, TOO):
        project.build(view, carriers({"AA": (7, 1.5)}), at)
    project.build(BY_AIRPORT, pa.table({"airport": ["JFK"], "length": [40]}), at)
    sync(project.catalog)
    with TestClient(create_app(project.catalog)) as made:
        yield made


def ask(client: TestClient, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/vectors", json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_store_in_time_answers_as_ever(client: TestClient) -> None:
    assert ask(client, budget_ms=5_000) == ask(client)


@pytest.mark.parametrize("kind", ["slow", "down"])
def test_what_does_not_come_is_marked(client: TestClient, store: SlowStore, kind: str) -> None:
    whole = ask(client)
    setattr(store, kind, {"airport"})
    found = ask(client, budget_ms=50)
    assert found["vectors"] == [[7, None, None, 1.5], [None] * 4]
    assert [tuple(each.values()) for each in found["absent"]] == [
        (1, "delays", "NOT_FOUND"),
        (0, "queues", "UNAVAILABLE"),
        (1, "queues", "NOT_FOUND"),
        (1, "delays_too", "NOT_FOUND"),
    ]
    assert set(found["ages"]) == {"delays", "delays_too"}
    assert 'forebay_feature_values_total{status="UNAVAILABLE",view="queues"} 2.0' in (
        client.get("/metrics").text
    )
    setattr(store, kind, set())
    assert ask(client, budget_ms=5_000) == whole


@pytest.mark.parametrize("kind", ["slow", "down"])
def test_nothing_in_time_is_no_answer(client: TestClient, store: SlowStore, kind: str) -> None:
    setattr(store, kind, {"airport", "carrier"})
    answer = client.post("/v1/vectors", json={**ASKED, "budget_ms": 20})
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("budget", [0, -1, 60_001, True, "50", [50]])
def test_budgets_that_are_none(client: TestClient, budget: Any) -> None:
    answer = client.post("/v1/vectors", json={**ASKED, "budget_ms": budget})
    assert answer.status_code == 422 and answer.json()["error"]["where"] == "budget_ms"


@pytest.mark.parametrize("kind", ["slow", "down"])
def test_feasts_shape_marks_it_too(client: TestClient, store: SlowStore, kind: str) -> None:
    asked = {name: ASKED[name] for name in ("features", "entities")}
    whole = client.post("/get-online-features", json={**asked, "budget_ms": 5_000}).json()
    assert whole == client.post("/get-online-features", json=asked).json()
    setattr(store, kind, {"airport"})
    found = client.post("/get-online-features", json={**asked, "budget_ms": 50}).json()
    names = found["metadata"]["feature_names"]
    results = dict(zip(names, found["results"], strict=True))
    of_whole = dict(zip(names, whole["results"], strict=True))
    late = {name for name in names if results[name] != of_whole[name]}
    assert late == {"length", "more"}
    for name in late:
        assert results[name]["values"] == [None, None]
        assert results[name]["statuses"] == ["UNAVAILABLE", "NOT_FOUND"]
    refused = client.post("/get-online-features", json={**asked, "budget_ms": 0})
    assert refused.status_code == 422 and "budget_ms" in refused.text
