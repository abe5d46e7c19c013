"""Requests that cannot be answered say what is wrong, where, and what to send instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from feature_specs.catalog import Column, Feature
from feature_specs.errors import ForebayError
from serving.api import create_app
from serving.lookup.limits import LIMITS
from serving.stores import StoredView, open_store
from serving.sync import sync
from tests.serving.project import Project, make_view

pytestmark = pytest.mark.many_cases

AA = {"carrier": ["AA"]}
N = ["delays:n"]

CASES: list[tuple[Any, int, str]] = [
    ({"features": ["delay:n"], "entities": AA}, 404, "did you mean 'delays'?"),
    ({"features": ["delays:dely"], "entities": AA}, 404, "did you mean 'delay'?"),
    ({"features": ["delays__knwn"], "entities": AA}, 404, "did you mean 'known'?"),
    ({"features": ["gate"], "entities": AA}, 404, "did you mean 'last__seen:gate'"),
    ({"feature_service": "arival", "entities": AA}, 404, "did you mean 'arrival'?"),
    ({"features": N, "entities": {"carier": ["AA"]}}, 404, "did you mean 'carrier'?"),
    (
        {"features": N, "entities": {"origin": ["JFK"]}},
        422,
        "entity 'carrier' of delays is missing",
    ),
    ({"features": N, "entities": {}}, 422, "entities"),
    ({"features": N}, 422, "entities"),
    ({"features": N, "entities": {"carrier": "AA"}}, 422, "'carrier' is not a list"),
    ({"features": N, "entities": [1]}, 422, "'entities' is not an object"),
    ({"features": N, "entities": {"carrier": [5.0]}}, 422, "'carrier' is VARCHAR, not 5.0"),
    (
        {"features": ["last__seen:gate"], "entities": {"origin": ["JFK"], "flight": ["1x"]}},
        422,
        "'flight' is INTEGER, not '1x'",
    ),
    (
        {"features": ["last__seen:gate"], "entities": {"origin": ["JFK"], "flight": [True]}},
        422,
        "'flight' is INTEGER, not True",
    ),
    (
        {"features": N, "entities": {"carrier": ["AA"], "origin": []}},
        422,
        "different lengths (carrier: 1, origin: 0)",
    ),
    ({"features": ["delays:excess"], "entities": AA}, 422, "'minutes' of delays is missing"),
    (
        {"features": ["delays:excess"], "entities": AA, "request_context": {"minutes": ["x"]}},
        422,
        "'minutes' is DOUBLE, not 'x'",
    ),
    (
        {"features": ["delays:excess"], "entities": AA, "request_context": {"minutes": [1, 2]}},
        422,
        "2 values for 1 rows",
    ),
    ({"features": ["delays:share"], "entities": {"carrier": ["Ü"]}}, 422, "division of 12 by zero"),
    ({"features": N, "entities": AA, "request": 5}, 422, "'request' is not an object"),
    ({"features": N, "feature_service": "arrival", "entities": AA}, 422, "either features or"),
    ({"entities": AA}, 422, "either features or"),
    ({"features": [], "entities": AA}, 422, "not a list of names"),
    ({"features": "delays:n", "entities": AA}, 422, "not a list of names"),
    ({"features": [5], "entities": AA}, 422, "5 is not a feature"),
    ({"feature_service": ["arrival"], "entities": AA}, 422, "'feature_service' is not a string"),
    ({"features": N, "entities": AA, "full_feature_names": "yes"}, 422, "not a boolean"),
    ({"feature": N, "entities": AA}, 422, "did you mean 'features'"),
    ([], 400, "not a JSON object"),
    ("delays:n", 400, "not a JSON object"),
]


@pytest.mark.parametrize(("body", "status", "text"), CASES)
def test_mistakes(client: TestClient, body: Any, status: int, text: str) -> None:
    response = client.post("/get-online-features", json=body)
    assert response.status_code == status, response.text
    answer = response.json()
    assert text in answer["detail"]
    assert set(answer["error"]) == {"what", "where", "hint"}
    assert set(answer) == {"error", "detail", "module", "class", "message"}
    assert all(answer["error"].values())


@pytest.mark.parametrize("field", ["request_context", "request", "entities"])
def test_a_wrong_request_value_is_told_where_it_was_sent(client: TestClient, field: str) -> None:
    body: dict[str, Any] = {"features": ["delays:excess"], "entities": dict(AA)}
    body.setdefault(field, {})["minutes"] = ["x"]
    error = client.post("/get-online-features", json=body).json()["error"]
    assert error["what"] == "request value 'minutes' is DOUBLE, not 'x'"
    assert error["where"] == f"{field}.minutes"


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ({"features": N}, "entities", "'entities' is missing"),
        ({"features": N, "entities": {}}, "entities", "'entities' is empty"),
        ({"feature_service": "arrivl", "entities": AA}, "feature_service", "no feature service is"),
        ({"features": ["delay:n"], "entities": AA}, "features", "no feature view is named 'delay'"),
    ],
)
def test_the_field_at_fault_is_named(client: TestClient, body: Any, where: str, what: str) -> None:
    error = client.post("/get-online-features", json=body).json()["error"]
    assert error["where"] == where and what in error["what"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"features": NaN}', b"[" * 100_000, b'{"a": "\\ud800"}']
)
def test_malformed_json(client: TestClient, body: bytes) -> None:
    response = client.post("/get-online-features", content=body)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["what"]


def test_a_body_that_is_too_long(client: TestClient) -> None:
    response = client.post("/get-online-features", content=b" " * (LIMITS.body_bytes + 1))
    assert response.status_code == 413


def test_other_paths_and_methods(client: TestClient) -> None:
    assert client.get("/nothing").json()["error"]["where"] == "GET /nothing"
    response = client.get("/get-online-features")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert "POST /get-online-features" in response.json()["detail"]


def test_a_view_that_is_not_synced_or_not_since_it_changed(served: Project) -> None:
    served.add(make_view("new"), replace(served.catalog.view("delays"), semantic_hash="hash2"))
    with TestClient(create_app(served.catalog)) as client:
        for name, text in (("new", "not in the online store yet"), ("delays", "another definit")):
            body = {"features": [f"{name}:n"], "entities": AA}
            response = client.post("/get-online-features", json=body)
            assert response.status_code == 503
            assert text in response.json()["detail"]
            assert f"forebay sync {name}" in response.json()["error"]["hint"]
        health = client.get("/health")
        assert (health.status_code, health.json()["not_ready"]) == (503, ["delays", "new"])


BAD = {
    "cannot be a key": make_view("bad", entities=(Column("x", "DOUBLE"),)),
    "neither stored nor computed": make_view("bad", features=(Feature("m", "BIGINT"),)),
    "unknown operator": make_view("bad", features=(Feature("m", "BIGINT", "", ["ad", 1, 2]),)),
}


@pytest.mark.parametrize("text", BAD)
def test_a_view_that_cannot_be_served_leaves_the_others(
    project: Project, served: Project, text: str
) -> None:
    project.add(BAD[text])
    feature = BAD[text].features[0].name
    with TestClient(create_app(project.catalog)) as client:
        body = {"features": [f"bad:{feature}"], "entities": AA}
        response = client.post("/get-online-features", json=body)
        assert response.status_code == 503
        what = response.json()["error"]["what"]
        assert what.startswith("feature view 'bad' cannot be served: ") and text in what
        body = {"features": ["delays:n"], "entities": AA}
        answer = client.post("/get-online-features", json=body)
        assert (answer.status_code, answer.json()["results"][1]["values"]) == (200, [3])
        health = client.get("/health")
        assert (health.status_code, health.json()["not_ready"]) == (503, ["bad"])
        views = {v["name"]: v["online"]["status"] for v in client.get("/features").json()["views"]}
        assert views["bad"] == "failed" and views["delays"] == "fresh"
        assert client.get("/").status_code == client.get("/metrics").status_code == 200


def test_where_no_view_can_be_served_it_is_said_at_the_start(project: Project) -> None:
    project.add(BAD["cannot be a key"])
    with pytest.raises(ForebayError, match="cannot be a key"):
        create_app(project.catalog)


def test_a_state_of_another_version_counts_as_none(served: Project) -> None:
    store = open_store(served.catalog.online)
    store.write(
        StoredView.of(served.catalog.view("delays")),
        (),
        (),
        b'{"of": "another version"}',
        replace=False,
    )
    store.close()
    with TestClient(create_app(served.catalog)) as client:
        assert client.get("/health").json()["not_ready"] == ["delays"]
        body = {"features": ["delays:n"], "entities": AA}
        assert client.post("/get-online-features", json=body).status_code == 503
    assert {r.view: r.action for r in sync(served.catalog)}["delays"] == "replaced"


def test_serving_before_any_sync(project: Project) -> None:
    project.add(make_view("delays"))
    with pytest.raises(ForebayError, match="forebay sync"):
        create_app(project.catalog)
