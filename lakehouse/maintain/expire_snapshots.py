"""Choose the snapshots of a table that nobody needs any more, and take them out of its metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AssertRefSnapshotId

from lakehouse.pyiceberg_internals import SteadyTransaction
from lakehouse.stream.fence import FENCE

_MIN_SNAPSHOTS = "history.expire.min-snapshots-to-keep"


@dataclass(frozen=True)
class Pins:
    """Snapshots that somebody still needs, of whichever table.

    Attributes:
        read: those that are to be read again, such as a training set's.
        onward: those from which somebody goes on by what came after: with all that followed.
    """

    read: frozenset[int] = frozenset()
    onward: frozenset[int] = frozenset()

    def __or__(self, other: Pins) -> Pins:
        return Pins(self.read | other.read, self.onward | other.onward)


def choose_expired(table: Table, pins: Pins, now: datetime, age: timedelta) -> tuple[Snapshot, ...]:
    """Choose the snapshots to expire, oldest first.

    Kept are those of tags and branches that are not past their own maximum age, those that were the
    table's head within the last ``age``, those of ``pins``, and those by which a stream finds its fence.
    """
    before = int((now - age).timestamp() * 1000)
    kept = {*_of_refs(table, overdue_refs(table, now)), *_heads_since(table, before)}
    kept |= {s.snapshot_id for s in table.snapshots() if s.snapshot_id in pins.read | pins.onward}
    line = list(_line(table, table.metadata.current_snapshot_id))
    needed = int(table.properties.get(_MIN_SNAPSHOTS, "1"))
    for place, snapshot in enumerate(line):
        if snapshot.snapshot_id in pins.onward:
            needed = max(needed, place + 1)
    needed = max(needed, _to_the_fence(line))
    kept |= {s.snapshot_id for s in line[:needed]}
    gone = [s for s in table.snapshots() if s.snapshot_id not in kept]
    return tuple(sorted(gone, key=lambda s: s.timestamp_ms))


def expire_snapshots(
    table: Table, pins: Pins, now: datetime, age: timedelta, tries: int = 5
) -> tuple[Snapshot, ...]:
    """Take them out of the table's metadata, in one commit. No file is deleted.

    Returns those that went: none where other writers were quicker each time, since the next run finds
    them again.
    """
    for _ in range(tries):
        expired, overdue = choose_expired(table, pins, now, age), overdue_refs(table, now)
        if not expired and not overdue:
            return ()
        transaction = SteadyTransaction(table)
        for name, ref in table.metadata.refs.items():
            seen = {"ref": name, "snapshot-id": ref.snapshot_id}
            transaction.require(AssertRefSnapshotId.model_validate(seen))
        transaction.forget_refs(sorted(overdue))
        transaction.remove_snapshots([s.snapshot_id for s in expired])
        try:
            transaction.commit_transaction()
        except CommitFailedException:
            table = table.catalog.load_table(table.name())
            continue
        return expired
    return ()


def overdue_refs(table: Table, now: datetime) -> set[str]:
    """Tags and branches past their own maximum age, which Iceberg counts from their snapshot's time."""
    found = set()
    for name, ref in table.metadata.refs.items():
        snapshot = table.snapshot_by_id(ref.snapshot_id)
        if name == MAIN_BRANCH or ref.max_ref_age_ms is None or snapshot is None:
            continue
        if now.timestamp() * 1000 - snapshot.timestamp_ms > ref.max_ref_age_ms:
            found.add(name)
    return found


def _of_refs(table: Table, overdue: Collection[str]) -> Iterator[int]:
    for name, ref in table.metadata.refs.items():
        if name in overdue:
            continue
        yield ref.snapshot_id
        if name != MAIN_BRANCH and ref.snapshot_ref_type == SnapshotRefType.BRANCH:
            yield from (s.snapshot_id for s in _line(table, ref.snapshot_id))


def _heads_since(table: Table, before: int) -> Iterator[int]:
    """Snapshots that are younger, or were the head until then: a reader may be at them."""
    log = table.metadata.snapshot_log
    for entry, later in zip(log, [*log[1:], None], strict=True):
        if later is None or later.timestamp_ms >= before:
            yield entry.snapshot_id
    for snapshot in table.snapshots():
        if snapshot.timestamp_ms >= before:
            yield snapshot.snapshot_id
            if snapshot.parent_snapshot_id is not None:
                yield snapshot.parent_snapshot_id


def _line(table: Table, head: int | None) -> Iterator[Snapshot]:
    by_id = {s.snapshot_id: s for s in table.snapshots()}
    while head is not None and head in by_id:
        yield by_id[head]
        head = by_id[head].parent_snapshot_id


def _to_the_fence(line: list[Snapshot]) -> int:
    """How many of the line say up to where a topic was read: the newest that does counts."""
    for place, snapshot in enumerate(line):
        if snapshot.summary is not None and FENCE in snapshot.summary.additional_properties:
            return place + 1
    return 0
