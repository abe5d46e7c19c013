"""More load than a server takes: answers or refusals that say when to come back, and a full recovery."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from serving.api import App, create_app
from serving.lookup.limits import LIMITS
from tests.serving.project import Project

#: Values of a request: its feature and the entity that is repeated.
_ROWS, _WIDTH = 5_000, 2


async def _call(
    app: App, method: str, path: str, body: bytes = b""
) -> tuple[int, dict[bytes, bytes]]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


async def _overload(app: App, body: bytes) -> None:
    work = app.lookup.work
    for _ in range(3):
        asked = [_call(app, "POST", "/get-online-features", body) for _ in range(40)]
        tasks = [asyncio.create_task(each) for each in asked]
        await asyncio.sleep(0)  # all have begun
        assert work.cells == 2 * _ROWS * _WIDTH
        status, _ = await _call(app, "GET", "/health")
        assert status == 200
        answers = await asyncio.gather(*tasks)
        counts = Counter(status for status, _ in answers)
        assert set(counts) == {200, 503} and counts[200] >= 2
        assert all(headers[b"retry-after"] == b"1" for s, headers in answers if s == 503)
        # It takes as much as before.
        assert work.cells == 0
        again = [await _call(app, "POST", "/get-online-features", body) for _ in range(5)]
        assert {status for status, _ in again} == {200}


def test_what_is_too_much_is_refused_and_the_rest_answered(served: Project) -> None:
    limits = replace(LIMITS, cells=_ROWS * _WIDTH, cells_in_work=2 * _ROWS * _WIDTH)
    body = json.dumps({"features": ["delays:n"], "entities": {"carrier": ["AA"] * _ROWS}}).encode()
    asyncio.run(_overload(create_app(served.catalog, limits=limits), body))
