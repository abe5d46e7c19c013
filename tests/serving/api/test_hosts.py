"""By which names a server of this machine is asked, that asks for no key."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from serving.api.hosts import OwnHosts
from serving.settings import ServeSettings


async def _ask(hosts: list[str]) -> list[int]:
    app = OwnHosts(PlainTextResponse("answer"), "Dev.internal")
    found = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    for host in hosts:
        headers = [(b"host", each.encode("latin-1")) for each in host.split("|")] if host else []
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        for _ in range(2):  # what was found good is kept
            await app(scope, receive, send)
    return found


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "LocalHost:6566",
        "localhost.",
        "a.localhost:1",
        "127.0.0.1:6566",
        "[::1]:6566",
        "127.9.9.9",
        "10.0.0.7:80",
        "dev.internal",
        "DEV.internal:6566",
    ],
)
def test_own_names_are_answered(host: str) -> None:
    assert asyncio.run(_ask([host])) == [200, 200]


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "example.com:6566",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "localhost@example.com",
        "notlocalhost",
        "127.0.0.1:80:80",
        "é",
        ":6566",
        "dev.internal.x",
        "localhost|example.com",
        "example.com|localhost",
        "127.1",
    ],
)
def test_others_are_not(host: str) -> None:
    assert asyncio.run(_ask([host])) == [421, 421]


def test_what_is_said_holds_nothing_of_the_request() -> None:
    async def ask() -> httpx.Response:
        app = OwnHosts(PlainTextResponse("answer"), "127.0.0.1")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert answer.status_code == 421
    assert "localhost" in answer.json()["detail"] and "evil" not in answer.text


@pytest.mark.parametrize(
    ("settings", "address", "expected"),
    [
        (ServeSettings(), "127.0.0.1", True),
        (ServeSettings(), "::1", True),
        (ServeSettings(keys="k"), "127.0.0.1", False),
        (ServeSettings(jwks="k"), "127.0.0.1", False),
        (ServeSettings(insecure=True), "127.0.0.1", False),
        (ServeSettings(insecure=True), "0.0.0.0", False),
    ],
)
def test_only_a_server_that_its_address_guards(
    settings: ServeSettings, address: str, expected: bool
) -> None:
    assert settings.answers_this_machine(address) is expected
