"""Writes to a CQL store that readers see whole or not at all, even if other writers interfere or are killed.

A write takes the view's next version by compare-and-set, puts its rows into the slots that readers
do not see, and commits its version by a second compare-and-set, which fails if another writer has
taken a version since. So versions grow in the order in which writes build on each other, which is
that of (T, position in the log): a write names the state that it was computed from.

Versions are also the timestamps of rows (`schema.timestamp`), never the clock or an event's time.
Whatever comes late, twice or in another order loses against what was written after it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from serving.stores.cql.batches import batches
from serving.stores.cql.connection import (
    COMPARE_AND_SET,
    READ_TIMEOUT,
    SCAN,
    SERIAL,
    WRITE,
    Connection,
)
from serving.stores.cql.gather import run
from serving.stores.cql.reads import Reads
from serving.stores.cql.scan import scan
from serving.stores.cql.schema import (
    COMMIT,
    FIRST_VERSION,
    LAST_CHUNK,
    NEXT_VERSION,
    PUT,
    READ_SLOTS,
    READ_VIEW,
    REMOVE,
    SCAN_SLOTS,
    group_name,
    timestamp,
)
from serving.stores.cql.versions import Stored, Versions, is_gone, mark_of, next_slot, visible
from serving.stores.protocol import OvertakenError, Rows, State, StoreDownError, StoredView

#: Rows of a chunk, which are read, given slots and written together.
_CHUNK = 5000
#: How far clocks of machines may differ in the seconds that a removal waits.
_MARGIN = 0.5
_GONE = b""


def read_versions(connection: Connection, view: StoredView) -> Versions:
    """What is committed of a view at this moment, for writers too."""
    rows = connection.execute(READ_VIEW, (view.name,), SERIAL)
    return Versions.of(rows[0][2:]) if rows else Versions()


class Writer:
    """Writes to the views of one store."""

    def __init__(self, connection: Connection, reads: Reads) -> None:
        self._connection = connection
        self._reads = reads
        # What may leave the partitions once no reader knows an older commit, and when that is.
        self._removals: list[tuple[float, Callable[[], None]]] = []

    def write(
        self,
        view: StoredView,
        upserts: Rows,
        deletes: Iterable[bytes],
        state: State,
        *,
        replace: bool,
        after: bytes | None,
    ) -> None:
        """`OnlineStore.write`."""
        self._remove(wait=False)
        known, version = self._take_version(view, after)
        replace = replace or known.state is None
        step = _Step(self._connection, self._reads, view, known, version)
        if replace:
            step.replace(upserts)
        else:
            step.delete(deletes)
            step.change(upserts)
        final = state if isinstance(state, bytes) else state()
        self._commit(view, known, version, final, replace=replace)
        if replace and known.allocated:
            self._remove_later(lambda: self._sweep(view, version))
        elif step.removed:
            self._remove_later(step.remove)

    def drop(self, view: StoredView) -> None:
        """`OnlineStore.drop`."""
        self._remove(wait=False)
        if read_versions(self._connection, view).state is None:
            return
        known, version = self._take_version(view, None)
        self._commit(view, known, version, None, replace=True)
        self._remove_later(lambda: self._sweep(view, version))

    def rest(self) -> None:
        """Remove what readers no longer need by now."""
        self._remove(wait=False)

    def close(self) -> None:
        """Remove what readers no longer need, after waiting until none does: a few seconds."""
        self._remove(wait=True)

    def _take_version(self, view: StoredView, after: bytes | None) -> tuple[Versions, int]:
        """What is committed before this write, and its version."""
        while True:
            known = read_versions(self._connection, view)
            if after is not None and known.state != after:
                raise self._overtaken(view)
            version = known.allocated + 1
            if known.allocated:
                values: Sequence[Any] = (version, view.name, known.allocated)
                taken = self._connection.execute(NEXT_VERSION, values, COMPARE_AND_SET)
            else:
                values = (view.name, list(view.entities))
                taken = self._connection.execute(FIRST_VERSION, values, COMPARE_AND_SET)
            if taken[0][0]:
                return known, version

    def _commit(
        self, view: StoredView, known: Versions, version: int, state: bytes | None, *, replace: bool
    ) -> None:
        new = known.commit(version, state, replace=replace)
        entities = list(view.entities)
        values = (
            state,
            version,
            new.base,
            new.colour,
            list(new.aborted),
            entities,
            view.name,
            version,
        )
        try:
            done = self._connection.execute(COMMIT, values, COMPARE_AND_SET)[0][0]
        except StoreDownError:
            # It may have been done all the same, and answered too late.
            if read_versions(self._connection, view).committed != version:
                raise
            return
        if not done:
            raise self._overtaken(view)

    def _overtaken(self, view: StoredView) -> OvertakenError:
        return OvertakenError(
            f"another writer has changed feature view {view.name!r}",
            where=self._connection.address.uri,
            hint="run `forebay sync` again, and only one at a time",
        )

    def _remove_later(self, work: Callable[[], None]) -> None:
        wait = self._connection.address.state_seconds + READ_TIMEOUT + _MARGIN
        self._removals.append((time.monotonic() + wait, work))

    def _remove(self, *, wait: bool) -> None:
        while self._removals:
            due, work = self._removals[0]
            left = due - time.monotonic()
            if left > 0 and not wait:
                return
            time.sleep(max(left, 0))
            work()
            del self._removals[0]

    def _sweep(self, view: StoredView, version: int) -> None:
        """Remove the rows that no reader sees since all of the view was replaced."""
        versions = read_versions(self._connection, view)
        if versions.committed != version:
            return  # a later write is to judge
        dead = (
            key
            for key, slots in scan(self._connection, view, SCAN_SLOTS)
            if (seen := visible(versions, slots)) is None or is_gone(seen)
        )
        while keys := list(itertools.islice(dead, _CHUNK)):
            _remove(self._connection, view, keys, timestamp(version, LAST_CHUNK))


class _Step:
    """One write's rows, before they are committed."""

    def __init__(
        self,
        connection: Connection,
        reads: Reads,
        view: StoredView,
        known: Versions,
        version: int,
    ) -> None:
        self._connection = connection
        self._reads = reads
        self._view = view
        self._known = known
        self._version = version
        self._chunks = itertools.count()
        #: Keys whose rows are marked as removed, by the timestamp of their marks.
        self.removed: dict[int, list[bytes]] = {}

    def replace(self, rows: Rows) -> None:
        """Write the rows of a whole view, where no reader sees them."""
        slot = (1 - self._known.colour) * 2
        mark = mark_of(self._version, unseen=True, gone=False)
        for chunk in _chunks(rows):
            # The later of two rows counts; of two chunks the later has the greater timestamp.
            self._write([(key, slot, mark, row) for key, row in dict(chunk).items()])

    def change(self, rows: Rows) -> None:
        """Write rows beside those that readers see."""
        for chunk in _chunks(rows):
            last = dict(chunk)
            slots = self._read_slots(list(last))
            self._write(
                [
                    (key, *next_slot(self._known, slots[key], self._version), row)
                    for key, row in last.items()
                ]
            )

    def delete(self, keys: Iterable[bytes]) -> None:
        """Mark rows as removed, those that there are."""
        mark = mark_of(self._version, unseen=False, gone=True)
        for chunk in _chunks(keys):
            seen = {
                key: visible(self._known, slots)
                for key, slots in self._read_slots(list(dict.fromkeys(chunk))).items()
            }
            marked = {k: v[0] ^ 1 for k, v in seen.items() if v is not None and not is_gone(v)}
            if marked:
                stamp = self._write([(key, slot, mark, _GONE) for key, slot in marked.items()])
                self.removed[stamp] = list(marked)

    def remove(self) -> None:
        """Remove the rows that were marked. Rows written after the mark have greater timestamps."""
        for stamp, keys in self.removed.items():
            _remove(self._connection, self._view, keys, stamp)

    def _read_slots(self, keys: list[bytes]) -> dict[bytes, list[Stored]]:
        group, name = group_name(self._view.entities), self._view.name
        found = self._reads.run([(READ_SLOTS, [group, key, name]) for key in keys], SCAN)
        return {
            key: [(slot, mark, _GONE) for slot, mark in rows]
            for key, rows in zip(keys, found, strict=True)
        }

    def _write(self, rows: list[tuple[bytes, int, int, bytes]]) -> int:
        """Write keys, slots, marks and rows as one chunk; its timestamp."""
        stamp = timestamp(self._version, next(self._chunks))
        group, name = group_name(self._view.entities), self._view.name
        prepared = self._connection.prepare(PUT)
        statements = [
            prepared.bind((group, key, name, slot, mark, row, stamp))
            for key, slot, mark, row in rows
        ]
        run(self._connection, batches(self._connection, statements), WRITE)
        return stamp


def _remove(connection: Connection, view: StoredView, keys: Sequence[bytes], stamp: int) -> None:
    group = group_name(view.entities)
    prepared = connection.prepare(REMOVE)
    statements = [prepared.bind((stamp, group, key, view.name)) for key in keys]
    run(connection, batches(connection, statements), WRITE)


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    pending = iter(items)
    while chunk := list(itertools.islice(pending, _CHUNK)):
        yield chunk
