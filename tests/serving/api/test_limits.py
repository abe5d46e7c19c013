"""A request asks for so much and no more, and all requests in work together too."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from serving.api import App, create_app
from serving.api.endpoint import ARRIVED
from serving.lookup.limits import LIMITS, Limits, Work
from tests.serving.project import Project, hours

pytestmark = pytest.mark.slow

FEAST, VECTORS = "/get-online-features", "/v1/vectors"
AA = {"carrier": ["AA"]}
TWO = ["delays:n", "delays:delay"]


def post(client: TestClient, path: str, **body: Any) -> tuple[int, str]:
    response = client.post(path, json=body)
    answer = response.json()
    return response.status_code, "" if response.status_code == 200 else answer["error"]["what"]


@pytest.mark.parametrize("path", [FEAST, VECTORS])
def test_names_and_features(client: TestClient, path: str) -> None:
    assert post(client, path, features=TWO * 2501, entities=AA) == (
        413,
        "more than 5000 names are sent",
    )
    status, what = post(client, path, features=["x" * 513], entities=AA)
    assert (status, len(what) < 120) == (422, True)
    status, what = post(client, path, features=TWO[:1], entities=AA | {"y" * 513: [1]})
    assert (status, "longer than 512" in what) == (422, True)
    # Repeated names are refused whatever they are: they would multiply an answer for a few bytes.
    assert post(client, path, features=TWO[:1] * 1000, entities={"carrier": ["AA"] * 900})[0] == 422


def test_entities(client: TestClient) -> None:
    most = {"carrier": ["AA"] * LIMITS.entities}
    assert post(client, FEAST, features=TWO[:1], entities=most)[0] == 200
    most["carrier"].append("AA")
    assert post(client, FEAST, features=TWO[:1], entities=most) == (
        413,
        "10001 entities are asked, more than 10000",
    )
    few = {"carrier": ["AA"] * 1001}
    assert post(client, VECTORS, features=TWO[:1], entities=few)[0] == 413


@pytest.mark.parametrize("path", [FEAST, VECTORS])
def test_values_of_one_request_and_of_all_in_work(served: Project, path: str) -> None:
    app = create_app(served.catalog)
    work = app.lookup.work
    with TestClient(app) as client:
        work.limits = replace(LIMITS, cells=9, cells_in_work=20)
        assert post(client, path, features=TWO, entities={"carrier": ["AA"] * 2})[0] == 200
        status, what = post(client, path, features=TWO, entities={"carrier": ["AA"] * 5})
        assert (status, "values, more than 9" in what) == (413, True)
        with Work(work.limits).of(1, 1), work.of(4, 2), work.of(4, 2):
            response = client.post(
                path, json={"features": TWO, "entities": {"carrier": ["AA"] * 3}}
            )
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert "16 values are in work" in response.json()["detail"]
        assert post(client, path, features=TWO, entities={"carrier": ["AA"] * 3})[0] == 200
        assert work.cells == 0
        # A request that fails on the way gives back what it took.
        broken = {"features": ["delays:share"], "entities": {"carrier": ["Ü"]}}
        assert client.post(path, json=broken).status_code == 422
        assert work.cells == 0


@pytest.mark.parametrize(("allowed_us", "status"), [(hours(4), 200), (hours(4) - 1, 503)])
def test_a_view_that_is_not_to_be_answered_once_it_is_stale(
    served: Project, allowed_us: int, status: int
) -> None:
    view = replace(served.catalog.view("delays"), freshness_us=allowed_us, on_stale="error")
    served.add(view)
    with TestClient(create_app(served.catalog)) as client:
        for path in (FEAST, VECTORS):
            found, what = post(client, path, features=TWO, entities=AA)
            assert found == status
            assert (
                status == 200
                or what == "feature view 'delays' is 14400 seconds old, and 14399 are allowed"
            )
        # Others are answered.
        assert post(client, FEAST, features=["strict:n"], entities=AA)[0] == 200


def call(app: App, parts: list[bytes], waited: float = 0.0) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of a Feast lookup whose body comes in parts, as a server calls the app.

    Args:
        waited: for how many seconds the request waited for its turn.
    """
    sent: list[Message] = []
    left = list(parts)

    async def receive() -> Message:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": FEAST,
        "headers": [],
        ARRIVED: time.perf_counter() - waited,
    }
    asyncio.run(_run(app, scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


async def _run(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def test_a_request_that_waited_too_long_is_refused(served: Project) -> None:
    app = create_app(served.catalog)
    body = json.dumps({"features": TWO, "entities": AA}).encode()
    assert call(app, [body], LIMITS.queue_s / 2)[0] == 200
    status, headers = call(app, [body], LIMITS.queue_s + 0.1)
    assert (status, headers[b"retry-after"]) == (503, b"1")


def test_bodies_in_parts(served: Project) -> None:
    body = json.dumps({"features": TWO, "entities": AA}).encode()
    parts = [body[:10], body[10:20], body[20:]]
    for most, status in {LIMITS.bodies_bytes: 200, 15: 503, len(body): 200}.items():
        app = create_app(served.catalog, limits=replace(LIMITS, bodies_bytes=most))
        assert call(app, parts)[0] == status


def test_limits_are_those_that_are_set(served: Project) -> None:
    limits = Limits(
        entities=3, cells=12, names=3, name_length=12, vector_entities=2, body_bytes=300, queue_s=9
    )
    app = create_app(served.catalog, limits=limits)
    one = {"features": ["delays:n"], "entities": AA}
    with TestClient(app) as client:

        def status(path: str, **changes: Any) -> int:
            return client.post(path, json=one | changes).status_code

        assert status(FEAST) == status(VECTORS) == 200
        assert status(FEAST, entities={"carrier": ["AA"] * 3}) == 200
        assert status(FEAST, entities={"carrier": ["AA"] * 4}) == 413
        assert status(VECTORS, entities={"carrier": ["AA"] * 2}) == 200
        assert status(VECTORS, entities={"carrier": ["AA"] * 3}) == 413
        assert status(FEAST, features=[f"delays:{name}" for name in ("n", "delay", "known")]) == 200
        assert status(FEAST, features=["delays:n"] * 4) == 413
        assert status(FEAST, features=["delays:excess"]) == 422  # 13 characters
        assert status(FEAST, entities={"carrier": ["A" * 300]}) == 413
        told = client.get("/openapi.json").json()["components"]["schemas"]
        entities = told["VectorsRequest"]["properties"]["entities"]
        assert entities["additionalProperties"]["maxItems"] == 2
    app, body = create_app(served.catalog, limits=limits), json.dumps(one).encode()
    assert call(app, [body], 8.0)[0] == 200
    assert call(app, [body], 9.1)[0] == 503
