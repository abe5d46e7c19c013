"""A CQL cluster as an online store: one read of one partition for all views of an entity."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from feature_specs.errors import ForebayError
from serving.stores.cql.address import Address
from serving.stores.cql.connection import READ, READ_TIMEOUT, Connection
from serving.stores.cql.fast_reads import Statement
from serving.stores.cql.hot import Hot, asked
from serving.stores.cql.partitions import Partitions
from serving.stores.cql.reads import Reads
from serving.stores.cql.scan import scan
from serving.stores.cql.schema import READ_VIEWS, SCAN
from serving.stores.cql.single import Head, Shape, Shapes, choose, heads_of
from serving.stores.cql.versions import Versions, is_gone, visible
from serving.stores.cql.writer import Writer, read_versions
from serving.stores.protocol import OvertakenError, Rows, Slice, State, StoredView

_Wanted = Mapping[StoredView, Sequence[bytes]]
#: Yields statements, is sent their rows, returns the answer.
_Lookup = Generator[list[Statement], list[list[Any]], dict[str, Slice]]
#: How often a lookup starts over because a writer was faster each time.
_TRIES = 20


class CqlStore:
    """An `OnlineStore` in a keyspace; any number of processes read, and writers take turns.

    A reader takes what is committed of each view from its cache for ``state_seconds``. A store opened
    to write reads it anew each time, for what it writes builds on it.
    """

    def __init__(self, address: Address, *, readonly: bool) -> None:
        self._connection = Connection(address, readonly=readonly)
        self._address = address
        self._open = True
        self._reads = Reads(self._connection)
        self._writer = None if readonly else Writer(self._connection, self._reads)
        self._cache = _Committed({}, {}, float("-inf"))
        self._shapes = Shapes()
        self._hot_bytes = address.cache_mb * 2**20 if readonly else 0
        self._hot = Hot(self._hot_bytes)
        if readonly:
            self._reads.prepare()
        self._ahead = False
        self._refreshing: asyncio.Task[None] | None = None
        self._fresh = address.state_seconds if readonly else 0.0

    def get_many(self, wanted: _Wanted) -> dict[str, Slice]:
        self._check_open()
        lookup = self._lookup(wanted)
        try:
            statements = next(lookup)
            while True:
                statements = lookup.send(self._reads.run(statements, READ))
        except StopIteration as done:
            answer: dict[str, Slice] = done.value
            return answer
        finally:
            lookup.close()

    async def read(self, wanted: _Wanted) -> dict[str, Slice]:
        self._check_open()
        refreshed = self._fresh > 0
        if refreshed and time.monotonic() - self._cache.read_at > self._fresh:
            await self._refresh()
        single = None if self._writer is not None else self._shapes.of_one(wanted)
        if single is not None:
            one = await self._read_one(*single)
            if one is not None:
                return one
        lookup = self._lookup(wanted, refreshed=refreshed)
        try:
            statements = next(lookup)
            while True:
                statements = lookup.send(await self._read(statements))
        except StopIteration as done:
            answer: dict[str, Slice] = done.value
            return answer
        finally:
            lookup.close()

    @property
    def reader(self) -> str:
        """The driver that reads rows for the running event loop by now, one of `READERS`."""
        return self._reads.reader

    async def _read_one(self, shape: Shape, key: bytes) -> dict[str, Slice] | None:
        """The answer of a lookup of one entity; None where it takes more than one look."""
        known, hot = self._cache, self._hot
        age = time.monotonic() - known.read_at
        if age > self._fresh or (age > self._fresh / 2 and not self._ahead):
            return None  # the general way reads the commits along with the rows
        statement = shape.statement(key)
        place = asked(statement)
        chosen = hot.get(place)
        if chosen is None:
            rows = await hot.read_one(place, statement, self._reads.run_one)
            if time.monotonic() - known.read_at > self._fresh + READ_TIMEOUT:
                return None
            chosen = choose(rows, known.heads)
            if chosen is None:
                return None
            hot.put(place, chosen)
        return shape.answer(chosen, known.heads)

    async def _refresh(self) -> None:
        """Read the commits, once for all lookups that find those known too old."""
        loop = asyncio.get_running_loop()
        if self._refreshing is None or self._refreshing.get_loop() is not loop:
            self._refreshing = loop.create_task(self._read_commits())
        await asyncio.shield(self._refreshing)

    async def _read_commits(self) -> None:
        try:
            started = time.monotonic()
            (rows,) = await self._reads.run_async([(READ_VIEWS, [])], READ)
            self._keep(rows, started)
        finally:
            self._refreshing = None

    async def _read(self, statements: list[Statement]) -> list[list[Any]]:
        """The rows of each statement; what others read already is not read again."""
        run = partial(self._reads.run_async, profile=READ)
        if self._writer is not None:
            return await run(statements)
        rows = statements[1:] if statements[0][0] == READ_VIEWS else statements
        if len(rows) == len(statements):
            return await self._hot.read(rows, run)
        if not rows:
            return await run(statements)
        (views,), found = await asyncio.gather(run(statements[:1]), self._hot.read(rows, run))
        return [views, *found]

    def get_state(self, view: StoredView) -> bytes | None:
        self._check_open()
        return read_versions(self._connection, view).state

    def states(self) -> dict[StoredView, bytes]:
        self._check_open()
        started = time.monotonic()
        rows = self._connection.execute(READ_VIEWS, (), READ)
        # A lookup after this knows each of these, or a server would switch to a view that it lacks.
        self._keep(rows, started)
        return {
            StoredView(name, tuple(entities)): state
            for name, entities, state, *_ in rows
            if state is not None
        }

    def drop(self, view: StoredView) -> None:
        self._writing().drop(view)

    def write(
        self,
        view: StoredView,
        upserts: Rows,
        deletes: Iterable[bytes],
        state: State,
        *,
        replace: bool,
        after: bytes | None = None,
    ) -> None:
        self._writing().write(view, upserts, deletes, state, replace=replace, after=after)

    def items(self, view: StoredView) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        versions = read_versions(self._connection, view)
        if versions.state is None:
            return
        for key, slots in scan(self._connection, view, SCAN):
            seen = visible(versions, slots)
            if seen is not None and not is_gone(seen):
                yield key, seen[2]
        # What was visible at the start may have gone, if a later commit came between.
        if read_versions(self._connection, view).committed != versions.committed:
            raise OvertakenError(
                f"feature view {view.name!r} was written while all of it was read",
                where=self._address.uri,
                hint="run it again while no `forebay sync` runs",
            )

    def rest(self) -> bool:
        self._check_open()
        if self._writer is not None:
            self._writer.rest()
        return True

    def close(self) -> None:
        if self._open:
            self._open = False
            try:
                if self._writer is not None:
                    self._writer.close()
            finally:
                self._reads.close()
                self._connection.close()

    def _writing(self) -> Writer:
        self._check_open()
        if self._writer is None:
            raise ValueError(f"the store {self._address.uri} was opened to be read")
        return self._writer

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError(f"the store {self._address.uri} is closed")

    def _lookup(self, wanted: _Wanted, *, refreshed: bool = False) -> _Lookup:
        """What `read` and `get_many` give.

        Args:
            refreshed: the commits known were fresh enough when this began, or were read anew. Lookups
                that waited for their turn since do not read them again, each by itself.
        """
        reads = Partitions(wanted)
        for _ in range(_TRIES):
            if not refreshed and time.monotonic() - self._cache.read_at > self._fresh:
                yield from self._read_views()
            refreshed = False
            known, hot = self._cache, self._hot
            chosen, missing = reads.known(hot)
            found = yield from self._read_rows(missing)
            if time.monotonic() - known.read_at > self._fresh + READ_TIMEOUT:
                continue  # so late, rows of that commit may have been removed
            answer, unsure = reads.slices(chosen, found, known.views, hot)
            if not unsure:
                return answer
            # A writer has been here since. If nothing more is committed by now, the answer is right.
            later = yield from self._read_views()
            if all(_same_commit(known.views[name], later.get(name)) for name in unsure):
                return answer
        raise ForebayError(
            f"the online store changed during each of {_TRIES} reads",
            where=self._address.uri,
            hint="try again; if it goes on, let fewer writers run at once",
        )

    def _read_rows(
        self, statements: list[Statement]
    ) -> Generator[list[Statement], list[list[Any]], list[list[Any]]]:
        """The rows of each statement. One lookup at a time reads the commits along with its rows once
        those known are half as old as they may get, so that no lookup has to wait for them."""
        started = time.monotonic()
        if self._ahead or started - self._cache.read_at <= self._fresh / 2:
            return (yield statements) if statements else []
        self._ahead = True
        try:
            views, *found = yield [(READ_VIEWS, []), *statements]
        finally:
            self._ahead = False
        self._keep(views, started)
        return found

    def _read_views(self) -> Generator[list[Statement], list[list[Any]], dict[str, Versions]]:
        started = time.monotonic()
        (rows,) = yield [(READ_VIEWS, [])]
        return self._keep(rows, started)

    def _keep(self, rows: Iterable[Any], started: float) -> dict[str, Versions]:
        views = {name: Versions.of(columns) for name, _, *columns in rows}
        if started > self._cache.read_at:
            heads = self._cache.heads
            if not _same_commits(self._cache.views, views):
                self._hot, heads = Hot(self._hot_bytes), heads_of(views)
            self._cache = _Committed(views, heads, started)
        return views


class _Committed(NamedTuple):
    """What was committed of each view when it was last read, on the clock of `time.monotonic`.

    Attributes:
        heads: of the views, as lookups of one entity use them.
    """

    views: dict[str, Versions]
    heads: dict[str, Head]
    read_at: float


def _same_commit(known: Versions, later: Versions | None) -> bool:
    return later is not None and later.committed == known.committed


def _same_commits(known: Mapping[str, Versions], later: Mapping[str, Versions]) -> bool:
    return known.keys() == later.keys() and all(
        _same_commit(versions, later[name]) for name, versions in known.items()
    )
