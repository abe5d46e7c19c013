"""The listing, health and metrics."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from tests.serving.api.conftest import ask

HEALTHY: dict[str, Any] = {"status": "ok", "not_ready": [], "waiting": [], "problem": None}


def test_the_listing(client: TestClient) -> None:
    found = client.get("/features").json()
    views = {view["name"]: view for view in found["views"]}
    assert list(views) == ["delays", "last__seen", "strict"]
    assert views["delays"]["online"] == {"status": "fresh", "rows": 3, "age_us": 4 * 3_600_000_000}
    assert views["strict"]["online"]["status"] == "stale"
    assert views["delays"]["features"][2] == {
        "name": "excess",
        "reference": "delays:excess",
        "type": "DOUBLE",
        "description": "",
        "computed_at_reading": True,
    }
    assert found["services"][0]["features"] == ["delays:n", "last__seen:gate"]


def test_health(client: TestClient) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, HEALTHY)


def test_metrics(client: TestClient) -> None:
    ask(client, features=["delays:n"], entities={"carrier": ["AA", "B6", "XX", "YY"]})
    client.post("/get-online-features", content=b"{")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    for line in (
        'forebay_requests_total{status="200"} 1.0',
        'forebay_requests_total{status="400"} 1.0',
        'forebay_request_seconds_bucket{le="+Inf"} 2.0',
        "forebay_request_seconds_count 2.0",
        'forebay_feature_values_total{status="PRESENT",view="delays"} 1.0',
        'forebay_feature_values_total{status="NOT_FOUND",view="delays"} 2.0',
        'forebay_feature_values_total{status="NULL_VALUE",view="delays"} 1.0',
        'forebay_view_age_seconds{view="delays"} 14400.0',
        'forebay_view_rows{view="delays"} 3.0',
    ):
        assert line in lines
