"""Many statements at once: so many on the way, the next as one comes back, all results in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from serving.stores.cql.connection import WRITE, Connection

#: Reads of one call on the way at a time: enough to keep a few nodes busy, few enough that one large
#: request does not queue up before the others'.
_READS = 128
#: Batches on the way at a time, for each node: with more, a small one does not keep up.
_BATCHES = 16

_Done = Callable[[BaseException | None], None]


class _Gather:
    """One call's statements. The first error ends it."""

    def __init__(
        self, connection: Connection, statements: Iterable[Any], profile: str, done: _Done
    ) -> None:
        self._execute = connection.session.execute_async
        self._pending = enumerate(statements)
        self._window = _BATCHES * connection.count_nodes() if profile == WRITE else _READS
        self._profile = profile
        self._done = done
        self._lock = threading.Lock()
        self._running = 0
        self._finished = False
        self.results: dict[int, list[Any]] = {}

    def start(self) -> None:
        for _ in range(self._window):
            if not self._send():
                return

    def _send(self) -> bool:
        """Send the next statement; False if there is none, or no more are wanted."""
        with self._lock:
            following = None if self._finished else next(self._pending, None)
            if following is not None:
                self._running += 1
            ended = following is None and not self._running and not self._finished
            self._finished = self._finished or ended
        if ended:
            self._done(None)
        if following is None:
            return False
        number, statement = following
        try:
            future = self._execute(statement, execution_profile=self._profile)
        except BaseException as error:
            self._failed(error)  # or its caller would wait for ever
            raise
        future.add_callbacks(self._received, self._failed, callback_args=(number,))
        return True

    def _received(self, rows: list[Any] | None, number: int) -> None:
        with self._lock:
            self.results[number] = rows or []
            self._running -= 1
        self._send()

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            if self._finished:
                return
            self._finished = True
        self._done(error)


def run(connection: Connection, statements: Iterable[Any], profile: str) -> list[list[Any]]:
    """The rows of each statement, in order. Waits for all of them.

    Raises:
        StoreDownError: one failed.
    """
    ended = threading.Event()
    errors: list[BaseException] = []

    def done(error: BaseException | None) -> None:
        if error is not None:
            errors.append(error)
        ended.set()

    gather = _Gather(connection, statements, profile, done)
    gather.start()
    ended.wait()
    if errors:
        raise connection.explain(errors[0]) from errors[0]
    return [gather.results[number] for number in range(len(gather.results))]


async def run_async(
    connection: Connection, statements: Sequence[Any], profile: str
) -> list[list[Any]]:
    """`run` for an event loop, without blocking it."""
    if len(statements) == 1:
        return [await _run_one(connection, statements[0], profile)]
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(connection.explain(error))

    def done(error: BaseException | None) -> None:
        loop.call_soon_threadsafe(settle, error)

    gather = _Gather(connection, statements, profile, done)
    gather.start()
    await ended
    return [gather.results[number] for number in range(len(gather.results))]


async def _run_one(connection: Connection, statement: Any, profile: str) -> list[Any]:
    """One statement needs no window: a lookup of one entity is nearly always this."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[list[Any]] = loop.create_future()

    def received(rows: list[Any] | None) -> None:
        if not ended.done():
            ended.set_result(rows or [])

    def failed(error: BaseException) -> None:
        if not ended.done():
            ended.set_exception(connection.explain(error))

    connection.session.execute_async(statement, execution_profile=profile).add_callbacks(
        lambda rows: loop.call_soon_threadsafe(received, rows),
        lambda error: loop.call_soon_threadsafe(failed, error),
    )
    return await ended
