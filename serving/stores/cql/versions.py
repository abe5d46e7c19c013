"""Which of an entity's stored rows counts: the arithmetic of versions, without a server.

Each write to a view takes a number, its *version*, greater than all before, and becomes visible at
once when its number is committed. Of each entity and view there are four *slots*: two of either
*colour*. A replacement of the whole view goes into the colour that readers do not see, without looking
what is there. A change goes into the slot of the readers' colour that they do not see. So until the
commit readers see what they saw before.

A reader may know an older commit than the last. It finds the row of its own commit, or signs that this
row may be gone: then `choose` says `UNSURE`, and the reader has to learn of the newer commit. It never
takes a row of another version for one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

#: A slot, its mark (see `mark_of`) and the row.
Stored: TypeAlias = tuple[int, int, bytes]


class Missing(Enum):
    """Why no row of a view counts."""

    ABSENT = "there is none"
    UNSURE = "a writer is at work: only the last commit can tell"


@dataclass(frozen=True)
class Versions:
    """What is committed of a view.

    Attributes:
        state: the bytes that its last writer gave; None where nothing was ever committed.
        allocated: the greatest version that a writer ever took.
        committed: the version that readers see; 0 before the first.
        base: the version that replaced everything: rows of earlier ones count no more.
        colour: 0 or 1: the slots that base and what follows it are in.
        aborted: ranges, first and last, of versions after base that were taken and never committed.
    """

    state: bytes | None = None
    allocated: int = 0
    committed: int = 0
    base: int = 0
    colour: int = 1
    aborted: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Versions:
        """From the columns of a row, in the order of the attributes; null where never committed."""
        state, allocated, committed, base, colour, aborted = columns
        if state is None:  # never committed, or dropped
            return cls(allocated=allocated or 0, committed=committed or 0)
        return cls(state, allocated, committed, base, colour, tuple(map(tuple, aborted or ())))

    def counts(self, version: int) -> bool:
        """Whether rows of a version are visible."""
        if self.state is None or not self.base <= version <= self.committed:
            return False
        return not any(first <= version <= last for first, last in self.aborted)

    def commit(self, version: int, state: bytes | None, *, replace: bool) -> Versions:
        """What is committed once ``version`` is, which was the last to be taken.

        Args:
            state: None where the view is dropped.
        """
        if replace:
            return Versions(state, version, version, version, 1 - self.colour)
        aborted = self.aborted
        if self.committed + 1 < version:
            aborted = (*aborted, (self.committed + 1, version - 1))
        return Versions(state, version, version, self.base, self.colour, aborted)


def mark_of(version: int, *, unseen: bool, gone: bool) -> int:
    """The number stored with a row: its version, and how it was written.

    Args:
        unseen: the writer saw no row of that entity, so that it may have overwritten one of a commit
            before the one that it knew.
        gone: the entity's row was removed.
    """
    mark = version * 2 + unseen
    return -mark if gone else mark


def is_gone(stored: Stored) -> bool:
    return stored[1] < 0


def visible(versions: Versions, slots: Iterable[Stored]) -> Stored | None:
    """The slot that counts at the last commit, also where it says that the row was removed."""
    return _find(versions, slots)[0]


def choose(versions: Versions, slots: Iterable[Stored]) -> Stored | Missing:
    """The slot that counts for a reader, whose commit need not be the last."""
    found, newer, unseen = _find(versions, slots)
    if newer and (found is None or unseen):
        return Missing.UNSURE
    return Missing.ABSENT if found is None else found


def _find(versions: Versions, slots: Iterable[Stored]) -> tuple[Stored | None, bool, bool]:
    """The slot that counts; whether one is newer than the commit, and whether such a one's writer
    saw no row. One pass and no calls: it runs for each row that is read."""
    colour, base, committed = versions.colour, versions.base, versions.committed
    found: Stored | None = None
    best = 0
    newer = unseen = False
    for stored in slots:
        slot, mark, _ = stored
        if slot >> 1 != colour:
            continue
        version = abs(mark) >> 1
        if version > committed:
            newer = True
            unseen = unseen or mark & 1 == 1
        elif base <= version > best and (not versions.aborted or versions.counts(version)):
            best, found = version, stored
    return (None if versions.state is None else found), newer, unseen


def next_slot(versions: Versions, slots: Iterable[Stored], version: int) -> tuple[int, int]:
    """The slot of a change to the last commit, and the mark of the row that it writes."""
    seen = visible(versions, slots)
    if seen is None:
        return versions.colour * 2, mark_of(version, unseen=True, gone=False)
    return seen[0] ^ 1, mark_of(version, unseen=False, gone=False)
