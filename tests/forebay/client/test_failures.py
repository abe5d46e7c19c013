"""Servers that fail: what is tried again, what is told, and how long it takes at most."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import uvloop

from feature_specs.errors import ForebayError, UnknownNameError
from forebay.client import AccessError, AsyncClient, Client, UnavailableError, Vectors
from serving.lookup.errors import InvalidRequestError, NotReadyError
from tests.forebay.client.scripted import (
    Answer,
    drip,
    error,
    http,
    scripted,
    sent,
    silence,
    vectors,
)
from tests.servers.process import free_port

pytestmark = pytest.mark.slow

Ask = Callable[..., Vectors]
Loops = Callable[[], asyncio.AbstractEventLoop]
GOOD = http(200, vectors(7))
SOON = "retry-after: 0"
HTML = b"<html>bad gateway</html>"


def ask_blocking(url: str, ids: list[int] | None = None, **settings: Any) -> Vectors:
    with Client(url, **{"timeout": 30.0, **settings}) as client:
        return client.vectors("s", {"id": ids or [1]})


def ask_async(
    url: str, ids: list[int] | None = None, *, loops: Loops | None = None, **settings: Any
) -> Vectors:
    async def asked() -> Vectors:
        async with AsyncClient(url, **{"timeout": 30.0, **settings}) as client:
            return await client.vectors("s", {"id": ids or [1]})

    with asyncio.Runner(loop_factory=loops) as runner:
        return runner.run(asked())


ask_on_uvloop = partial(ask_async, loops=uvloop.new_event_loop)


@pytest.fixture(
    params=[ask_blocking, ask_async, ask_on_uvloop], ids=["blocking", "asyncio", "uvloop"]
)
def ask(request: pytest.FixtureRequest) -> Ask:
    made: Ask = request.param
    return made


@pytest.mark.parametrize(
    "first",
    [
        http(429, error("too many requests"), SOON),
        http(503, error("the store is away"), SOON),
        http(502, HTML),
        http(504, HTML),
        sent(b""),
        sent(b"HTTP/1.1 200 OK\r\ncontent-le"),
        sent(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{"),
        sent(b"not HTTP at all\r\n\r\n"),
    ],
    ids=["429", "503", "502", "504", "closed", "cut head", "cut body", "not HTTP"],
)
def test_what_may_pass_is_tried_again(ask: Ask, first: Answer) -> None:
    with scripted(first, first, GOOD) as server:
        assert ask(server.url).to_dicts() == [{"v__x": 7}]
        assert len(server.requests) == 3
        assert len(set(server.requests)) == 1
    with scripted(first) as server:
        with pytest.raises(UnavailableError):
            ask(server.url, retries=1)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, error("not JSON"), InvalidRequestError, "here: not JSON. Hint: do that"),
        (401, error("no API key"), AccessError, "no API key"),
        (403, error("another team's"), AccessError, "another team's"),
        (404, error("no such service"), UnknownNameError, "no such service"),
        (413, error("too many entities"), InvalidRequestError, "too many entities"),
        (422, error("wrong type"), InvalidRequestError, "wrong type"),
        (429, error("too many requests"), UnavailableError, "too many requests"),
        (503, error("not synced"), NotReadyError, "not synced"),
        (500, error("broken"), UnavailableError, "broken"),
        (500, b"Internal Server Error", UnavailableError, "HTTP status 500 instead of"),
        (404, HTML, UnavailableError, "HTTP status 404 instead of"),
        (302, b"", UnavailableError, "HTTP status 302 instead of"),
        (200, HTML, UnavailableError, "the answer is not forebay's"),
        (200, b"[]", UnavailableError, "the answer is not forebay's"),
        (200, b"{}", UnavailableError, "the answer is not forebay's"),
    ],
)
def test_what_will_not_pass_is_told_at_once(
    ask: Ask, status: int, body: bytes, kind: type[ForebayError], words: str
) -> None:
    with scripted(http(status, body), GOOD) as server:
        with pytest.raises(kind, match=words) as caught:
            ask(server.url)
        assert type(caught.value) is kind
        assert len(server.requests) == 1


def test_nothing_is_tried_again_beyond_the_deadline(ask: Ask) -> None:
    with scripted(http(503, error("the store is away"), "retry-after: 60"), GOOD) as server:
        with pytest.raises(UnavailableError, match="the store is away"):
            ask(server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize("slow", [silence, drip])
def test_a_slow_server_ends_a_call_in_time(
    ask: Ask, slow: Callable[[threading.Event], Answer]
) -> None:
    done = threading.Event()
    try:
        with (
            scripted(slow(done)) as server,
            pytest.raises(
                UnavailableError, match=r"/v1/services/s/vectors: no answer within 0.2 s"
            ),
        ):
            ask(server.url, timeout=0.2)
    finally:
        done.set()


def test_waiting_for_a_connection_counts_too(
    server_that_waits: tuple[str, threading.Event],
) -> None:
    url, _ = server_that_waits
    with Client(url, timeout=0.2, connections=1) as client:
        told: list[str] = []

        def call() -> None:
            with pytest.raises(UnavailableError) as caught:
                client.vectors("s", {"id": [1]})
            told.append(caught.value.what)

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == ["no answer within 0.2 s"] * 4


@pytest.fixture
def server_that_waits() -> Any:
    done = threading.Event()
    with scripted(silence(done)) as server:
        yield server.url, done
        done.set()


def test_no_server(ask: Ask) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match="cannot be reached: Connection refused") as caught:
        ask(url)
    assert caught.value.where == url
    with pytest.raises(UnavailableError, match="the server cannot be reached"):
        ask("http://no-such-host.invalid:80", retries=0)


def test_a_connection_is_kept_and_a_closed_one_is_replaced() -> None:
    closing = http(200, vectors(8), "connection: close")
    with scripted(GOOD, GOOD, closing, GOOD) as server:
        with Client(server.url, timeout=30, retries=0) as client:
            got = [client.vectors("s", {"id": [1]}).to_dicts()[0]["v__x"] for _ in range(4)]
        assert got == [7, 7, 8, 7]
        assert server.connections == 2


def test_a_connection_that_the_server_closed_while_it_was_idle_costs_no_retry(ask: Ask) -> None:
    # A server that closes after an answer, without saying so beforehand.
    body = vectors(7)
    unsaid = sent(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    with scripted(unsaid) as server:
        with Client(server.url, timeout=30, retries=0) as client:
            for _ in range(5):
                assert client.vectors("s", {"id": [1]}).to_dicts() == [{"v__x": 7}]

        async def asked() -> None:
            async with AsyncClient(server.url, timeout=30, retries=0) as client:
                for _ in range(5):
                    assert (await client.vectors("s", {"id": [1]})).to_dicts() == [{"v__x": 7}]

        asyncio.run(asked())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_bytes_after_an_answer_are_nobodys_answer(kind: type[Any]) -> None:
    body, other = vectors(1), vectors(2)
    one = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    two = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(other), other)
    with scripted(sent(one + two, keep=True), http(200, vectors(3))) as server:
        assert all_of(kind, server.url, 2) == [3, 3]


def all_of(kind: type[Any], url: str, count: int) -> list[int]:
    """The value of each of some calls, one after the other."""
    if kind is Client:
        with Client(url, timeout=30) as client:
            made = [client.vectors("s", {"id": [1]}) for _ in range(count)]
    else:

        async def asked() -> list[Vectors]:
            async with AsyncClient(url, timeout=30) as client:
                return [await client.vectors("s", {"id": [1]}) for _ in range(count)]

        made = asyncio.run(asked())
    return [vectors.to_dicts()[0]["v__x"] for vectors in made]


def test_a_project_that_is_switched_between_two_requests_is_asked_again(ask: Ask) -> None:
    ids = list(range(1_001))
    before = http(200, vectors(*range(1_000), type_name="INTEGER"))
    after = http(200, vectors(1_000))
    whole = http(200, vectors(*range(1_000)))
    if ask is ask_blocking:
        with scripted(before, after, whole, after) as server:
            assert ask(server.url, ids).to_dict() == {"v__x": ids}
            assert len(server.requests) == 4
    with (
        scripted(before, after, before, after) as server,
        pytest.raises(UnavailableError, match="changed while they were read"),
    ):
        ask(server.url, ids, retries=1, connections=1)


def test_an_interim_answer_and_chunks(ask: Ask) -> None:
    body = vectors(7)
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with scripted(sent(interim + head + chunks, keep=True)) as server:
        assert ask(server.url).to_dicts() == [{"v__x": 7}]


def test_the_key_is_sent_and_a_path_is_kept(ask: Ask) -> None:
    with scripted(GOOD) as server:
        ask(f"{server.url}/features-of/team/", api_key="s3cret")
    (request,) = server.requests
    head = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"POST /features-of/team/v1/services/s/vectors HTTP/1.1"
    assert b"authorization: Bearer s3cret" in head
