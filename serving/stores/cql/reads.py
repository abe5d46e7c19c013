"""Reads by the driver that does them best: acsylla where it is ready, else scylla-driver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from serving.stores.cql.connection import READ, Connection
from serving.stores.cql.fast_reads import FastReads, FastReadsAside, Statement, is_available
from serving.stores.cql.gather import run, run_async
from serving.stores.cql.schema import READ_ENTITY, READ_ROW, READ_VIEWS
from serving.stores.protocol import StoreDownError

#: Statements of a call without an event loop for which it is worth going to another thread.
_MANY = 16


class Reads:
    """Statements and their rows, for callers with and without an event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._fast = FastReads(connection) if is_available(connection.address) else None
        self._aside: FastReadsAside | None = None

    def run(self, statements: Sequence[Statement], profile: str) -> list[list[Any]]:
        """The rows of each statement, in order. Raises StoreDownError where one fails."""
        asked = self._connection.address.reader is not None
        if self._fast is not None and (asked or len(statements) >= _MANY):
            if self._aside is None:
                self._aside = FastReadsAside(self._connection)
            try:
                found = self._aside.run(statements)
            except StoreDownError:
                found = None  # scylla-driver tries again for as long as the profile says
            if found is not None:
                return found
        return run(self._connection, self._bound(statements), profile)

    @property
    def reader(self) -> str:
        """The driver that reads for the running event loop by now."""
        return "acsylla" if self._fast is not None and self._fast.is_open() else "scylla-driver"

    async def run_one(self, statement: Statement) -> list[Any]:
        """The rows of a statement that reads rows of views, for an event loop."""
        fast = self._fast
        if fast is not None and fast.is_open():
            return await fast.run_one(statement)
        (rows,) = await self.run_async([statement], READ)
        return rows

    async def run_async(self, statements: Sequence[Statement], profile: str) -> list[list[Any]]:
        """`run` for an event loop, without blocking it."""
        if self._fast is None or not await self._fast.ready():
            return await run_async(self._connection, self._bound(statements), profile)
        if statements[0][0] != READ_VIEWS:
            return await self._fast.run(statements)
        # Of types that acsylla reads otherwise; and seldom.
        views = run_async(self._connection, self._bound(statements[:1]), profile)
        if len(statements) == 1:
            return await views
        (first,), others = await asyncio.gather(views, self._fast.run(statements[1:]))
        return [first, *others]

    def prepare(self) -> None:
        """Prepare what `run_async` runs, which would hold up an event loop."""
        for text in (READ_VIEWS, READ_ENTITY, READ_ROW):
            self._connection.prepare(text)

    def close(self) -> None:
        """Release what acsylla has open."""
        if self._fast is not None:
            self._fast.close()
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    def _bound(self, statements: Sequence[Statement]) -> list[Any]:
        prepare = self._connection.prepare
        return [prepare(text).bind(values) for text, values in statements]
