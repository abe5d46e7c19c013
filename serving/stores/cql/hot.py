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
        self._flying: dict[Asked, asyncio.Future[list[Any]]] = {}

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
            flying = self._flying.get(key)
            if flying is None:
                flying = self._flying[key] = own[key] = loop.create_future()
                wanted.append(statement)
            futures.append(flying)
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
        except asyncio.CancelledError:
            for future in own.values():
                future.cancel()
            raise
        except BaseException as error:
            for future in own.values():
                future.set_exception(error)
                future.exception()  # or the loop would complain where nobody else waits
            raise
        finally:
            for key in own:
                del self._flying[key]
