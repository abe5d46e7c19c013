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
from serving.stores.cql.hot import Asked, Chosen, Hot, asked
from serving.stores.cql.reads import Reads
from serving.stores.cql.scan import scan
from serving.stores.cql.schema import READ_ENTITY, READ_ROW, READ_VIEWS, SCAN, group_name
from serving.stores.cql.versions import Missing, Stored, Versions, choose, is_gone, visible
from serving.stores.cql.writer import Writer, read_versions
from serving.stores.protocol import OvertakenError, Rows, Slice, State, StoredView

_Wanted = Mapping[StoredView, Sequence[bytes]]
#: Yields statements, is sent their rows, returns the answer.
_Lookup = Generator[list[Statement], list[list[Any]], dict[str, Slice]]
_NOTHING = Versions()
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
        self._cache = _Committed({}, float("-inf"))
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
        reads = _Partitions(wanted)
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
            if not _same_commits(self._cache.views, views):
                self._hot = Hot(self._hot_bytes)
            self._cache = _Committed(views, started)
        return views


class _Committed(NamedTuple):
    """What was committed of each view when it was last read, on the clock of `time.monotonic`."""

    views: dict[str, Versions]
    read_at: float


def _same_commit(known: Versions, later: Versions | None) -> bool:
    return later is not None and later.committed == known.committed


def _same_commits(known: Mapping[str, Versions], later: Mapping[str, Versions]) -> bool:
    return known.keys() == later.keys() and all(
        _same_commit(versions, later[name]) for name, versions in known.items()
    )


class _Group:
    """The views of a lookup with the same key columns: they share partitions."""

    def __init__(self, entities: tuple[str, ...]) -> None:
        self.name = group_name(entities)
        self.views: list[str] = []
        self.numbers: dict[bytes, int] = {}
        # Mostly all views are asked for the same keys.
        self.keys: Sequence[bytes] = ()
        self.places: list[int] = []


class _Partitions:
    """The partitions that a lookup reads, and the answer that their rows make."""

    def __init__(self, wanted: _Wanted) -> None:
        groups: dict[tuple[str, ...], _Group] = {}
        partitions: list[tuple[_Group, bytes]] = []
        #: Of each view the partitions of its keys.
        self._places: list[tuple[str, list[int]]] = []
        for (name, entities), keys in wanted.items():
            group = groups.get(entities)
            if group is None:
                group = groups[entities] = _Group(entities)
            group.views.append(name)
            if keys != group.keys:
                for key in keys:
                    if key not in group.numbers:
                        group.numbers[key] = len(partitions)
                        partitions.append((group, key))
                group.keys, group.places = keys, [group.numbers[key] for key in keys]
            self._places.append((name, group.places if keys else []))
        # Of a single view its rows alone: an entity may have many views.
        self.statements: list[Statement] = [
            (READ_ENTITY, [group.name, key])
            if len(group.views) > 1
            else (READ_ROW, [group.name, key, group.views[0]])
            for group, key in partitions
        ]
        self._asked: list[Asked] = list(map(asked, self.statements))

    def known(self, hot: Hot) -> tuple[list[Chosen | None], list[Statement]]:
        """What is known of each partition, and the statements that read the others."""
        chosen = [hot.get(key) for key in self._asked]
        if None not in chosen:
            return chosen, []
        found = zip(chosen, self.statements, strict=True)
        return chosen, [statement for rows, statement in found if rows is None]

    def slices(
        self,
        known: list[Chosen | None],
        found: Sequence[list[Any]],
        committed: Mapping[str, Versions],
        hot: Hot,
    ) -> tuple[dict[str, Slice], set[str]]:
        """Each view's slice, and the views of which some row cannot be told.

        Args:
            known: as `known` gives it; found: what was read of the others.
        """
        unsure: set[str] = set()
        read = iter(found)
        chosen: list[Chosen] = []
        for rows, key in zip(known, self._asked, strict=True):
            if rows is None:
                doubtful: set[str] = set()
                rows = choose_all(next(read), committed, doubtful)
                unsure |= doubtful
                if not doubtful:
                    hot.put(key, rows)
            chosen.append(rows)
        answer = {
            name: Slice(
                committed.get(name, _NOTHING).state, [chosen[place].get(name) for place in places]
            )
            for name, places in self._places
        }
        return answer, unsure & answer.keys() if unsure else unsure


def choose_all(
    rows: Sequence[tuple[str, int, int, bytes]],
    committed: Mapping[str, Versions],
    unsure: set[str],
) -> dict[str, bytes]:
    """The row of each view in a partition; views of which none can be told are added to ``unsure``."""
    if len({stored[0] for stored in rows}) == len(rows):
        return _choose_single(rows, committed, unsure)
    slots: dict[str, list[Stored]] = {}
    for view, slot, mark, row in rows:
        kept = slots.get(view)
        if kept is None:
            slots[view] = [(slot, mark, row)]
        else:
            kept.append((slot, mark, row))
    found: dict[str, bytes] = {}
    for view, kept in slots.items():
        versions = committed.get(view)
        if versions is None or versions.state is None:
            continue
        seen = choose(versions, kept)
        if seen is Missing.UNSURE:
            unsure.add(view)
        elif seen is not Missing.ABSENT and not is_gone(seen):
            found[view] = seen[2]
    return found


def _choose_single(
    rows: Sequence[tuple[str, int, int, bytes]],
    committed: Mapping[str, Versions],
    unsure: set[str],
) -> dict[str, bytes]:
    """As `choose_all` where each view has one slot, as most have: without a call a view."""
    found: dict[str, bytes] = {}
    for view, slot, mark, row in rows:
        versions = committed.get(view)
        if versions is None or versions.state is None or slot >> 1 != versions.colour:
            continue
        version = abs(mark) >> 1
        if version > versions.committed:
            unsure.add(view)
        elif (
            version >= versions.base
            and mark > 0
            and (not versions.aborted or versions.counts(version))
        ):
            found[view] = row
    return found
