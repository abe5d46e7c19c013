"""What many ask for is read once, and kept no longer than it is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from serving.stores import StoredView, open_store
from serving.stores.cql.fast_reads import Statement
from serving.stores.cql.hot import Hot, asked

A: Statement = ("select", ["a"])
B: Statement = ("select", ["b"])


class Server:
    """Answers each statement with its value, once it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.seen: list[Statement] = []
        self.error: Exception | None = None

    async def run(self, statements: Sequence[Statement]) -> list[list[Any]]:
        self.seen += statements
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return [values for _, values in statements]


def test_what_is_asked_at_once_is_read_once() -> None:
    async def story() -> None:
        server, hot = Server(), Hot(0)
        calls = [asyncio.create_task(hot.read([A, B], server.run)) for _ in range(5)]
        calls.append(asyncio.create_task(hot.read([B, B, A], server.run)))
        await asyncio.sleep(0)
        server.let.set()
        answers = await asyncio.gather(*calls)
        assert answers == [[["a"], ["b"]]] * 5 + [[["b"], ["b"], ["a"]]]
        assert server.seen == [A, B]
        assert await hot.read([A], server.run) == [["a"]]
        assert server.seen == [A, B, A]

    asyncio.run(story())


def test_a_caller_that_leaves_takes_nothing_from_the_others() -> None:
    async def story() -> None:
        server, hot = Server(), Hot(0)
        calls = [asyncio.create_task(hot.read([A], server.run)) for _ in range(4)]
        await asyncio.sleep(0)
        calls[2].cancel()  # waits for the first
        await asyncio.sleep(0)
        calls[0].cancel()  # reads for all of them
        await asyncio.sleep(0.01)
        server.let.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in answers] == [
            True,
            False,
            True,
            False,
        ]
        assert answers[1] == answers[3] == [["a"]]

    asyncio.run(story())


def test_an_error_is_everybodys() -> None:
    async def story() -> None:
        server, hot = Server(), Hot(0)
        server.error = ValueError("down")
        server.let.set()
        calls = [asyncio.create_task(hot.read([A], server.run)) for _ in range(3)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [str(each) for each in answers] == ["down"] * 3
        server.error = None
        assert await hot.read([A], server.run) == [["a"]]

    asyncio.run(story())


def test_what_is_asked_again_stays_and_memory_is_bounded() -> None:
    hot = Hot(10_000)
    often = asked(A)
    hot.put(often, {"v": b"often"})
    for number in range(1_000):
        hot.put(("select", number), {"v": b"seldom"})
        assert hot.get(often) == {"v": b"often"}
    assert sum(hot.get(("select", number)) is not None for number in range(1_000)) < 30
    hot.put(("select", "large"), {"v": bytes(6_000)})
    assert hot.get(("select", "large")) is None


@pytest.mark.slow
def test_hot_keys_while_commits_come(new_keyspace: Callable[[], str]) -> None:
    """Rows and state of an answer are of one commit, whatever is kept and whoever reads."""
    uri = new_keyspace().replace("state_seconds=0.2", "state_seconds=0.1")
    views = [StoredView(name, ("k",)) for name in ("v", "w")]
    keys = [b"%d" % number for number in range(8)]
    writer = open_store(uri)

    def write(number: int) -> None:
        value = b"%d" % number
        for view in views:
            rows = [(key, value) for key in keys]
            writer.write(view, rows, (), value, replace=number % 3 == 0)

    write(0)
    reader = open_store(uri, readonly=True)

    async def story() -> None:
        over = False
        seen = set()

        async def ask(number: int) -> None:
            while not over:
                wanted = keys[number % 3 : number % 3 + 4]
                found = await reader.read(dict.fromkeys(views, wanted))
                for answer in found.values():
                    assert set(answer.rows) == {answer.state}
                    seen.add(answer.state)
                await asyncio.sleep(0)

        asking = [asyncio.create_task(ask(number)) for number in range(12)]
        for number in range(1, 13):
            await asyncio.to_thread(write, number)
            await asyncio.sleep(0.15)
        over = True
        await asyncio.gather(*asking)
        assert len(seen) > 6 and b"12" in seen

    asyncio.run(story())
    reader.close()
    writer.close()
