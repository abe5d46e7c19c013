"""Partitions that were read of late, and those that are on the way: what many ask for is read once.

Both are kept for one set of commits and let go with it. What an entity's rows are at a commit never
changes, so that an answer from here is the one that the server would give anyway: no older than
`state_seconds` allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from serving.stores.cql.fast_reads import Statement

#: A statement as a key.
Asked: TypeAlias = tuple[Any, ...]
#: The rows of the views of one partition.
Chosen: TypeAlias = dict[str, bytes]
_Run: TypeAlias = Callable[[Sequence[Statement]], Awaitable[list[list[Any]]]]
_RunOne: TypeAlias = Callable[[Statement], Awaitable[list[Any]]]

#: What an entry takes beside its rows, roughly.
_OVERHEAD = 400


def asked(statement: Statement) -> Asked:
    """The statement as a key."""
    text, values = statement
    return (text, *values)


class Hot:
    """Of one set of commits.

    Entries are in two halves. What is asked again moves to the younger one; when that is full, the
    older one is let go and the younger one grows old.

    Args:
        limit: bytes of what is kept; 0 keeps nothing, but still reads what is asked at once only once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit // 2
        self._bytes = 0
        self._young: dict[Asked, Chosen] = {}
        self._old: dict[Asked, Chosen] = {}
        self._flying: dict[Asked, asyncio.Future[list[Any]] | None] = {}

    def get(self, asked: Asked) -> Chosen | None:
        """The rows of a partition; None where they are not known."""
        found = self._young.get(asked)
        if found is None and self._old:
            found = self._old.get(asked)
            if found is not None:
                self.put(asked, found)
        return found

    def put(self, asked: Asked, rows: Chosen) -> None:
        """Keep the rows of a partition, for which no writer's doings left a doubt."""
        size = _OVERHEAD + sum(map(len, rows.values()))
        if size > self._limit:
            return
        if self._bytes + size > self._limit:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[asked] = rows
        self._bytes += size

    async def read(self, statements: Sequence[Statement], run: _Run) -> list[list[Any]]:
        """The rows of each statement, by ``run`` where nobody reads them already."""
        loop = asyncio.get_running_loop()
        own: dict[Asked, asyncio.Future[list[Any]]] = {}
        futures = []
        wanted = []
        for statement in statements:
            key = asked(statement)
            if key in self._flying:
                futures.append(self._joined(key))
                continue
            own[key] = self._flying[key] = loop.create_future()
            futures.append(own[key])
            wanted.append(statement)
        if own:
            await self._fly(own, wanted, run)
        found = []
        for statement, future in zip(statements, futures, strict=True):
            try:
                found.append(future.result() if future.done() else await asyncio.shield(future))
            except asyncio.CancelledError:
                if not future.cancelled():
                    raise  # this call is to end, not the one that reads
                found += await run([statement])
        return found

    async def read_one(self, key: Asked, statement: Statement, run: _RunOne) -> list[Any]:
        """The rows of one statement, by ``run`` where nobody reads them already.

        Args:
            key: the statement as `asked` gives it.
        """
        if key in self._flying:
            return await self._wait(self._joined(key), statement, run)
        self._flying[key] = None  # a future only once somebody waits: nearly never
        try:
            rows = await run(statement)
        except BaseException as error:
            flying = self._flying.pop(key)
            if flying is not None:
                _fail(flying, error)
            raise
        flying = self._flying.pop(key)
        if flying is not None:
            flying.set_result(rows)
        return rows

    def _joined(self, key: Asked) -> asyncio.Future[list[Any]]:
        """The rows of a statement that somebody reads already."""
        flying = self._flying[key]
        if flying is None:
            flying = self._flying[key] = asyncio.get_running_loop().create_future()
        return flying

    async def _wait(
        self, flying: asyncio.Future[list[Any]], statement: Statement, run: _RunOne
    ) -> list[Any]:
        try:
            return await asyncio.shield(flying)
        except asyncio.CancelledError:
            if not flying.cancelled():
                raise  # this call is to end, not the one that reads
            return await run(statement)

    async def _fly(
        self,
        own: dict[Asked, asyncio.Future[list[Any]]],
        wanted: Sequence[Statement],
        run: _Run,
    ) -> None:
        try:
            results = await run(wanted)
            for future, rows in zip(own.values(), results, strict=True):
                future.set_result(rows)
        except BaseException as error:
            for future in own.values():
                _fail(future, error)
            raise
        finally:
            for key in own:
                del self._flying[key]


def _fail(future: asyncio.Future[list[Any]], error: BaseException) -> None:
    """Let those who wait have the error, or read for themselves where the reader was cancelled."""
    if isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)
        future.exception()  # or the loop would complain where nobody else waits
