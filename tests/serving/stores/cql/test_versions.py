"""Versions and slots against a plain history: whatever a reader's commit, it sees that commit."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from serving.stores.cql.partitions import choose_all
from serving.stores.cql.schema import LAST_CHUNK, timestamp
from serving.stores.cql.single import choose as choose_one
from serving.stores.cql.single import heads_of
from serving.stores.cql.versions import (
    Missing,
    Stored,
    Versions,
    choose,
    is_gone,
    mark_of,
    next_slot,
    visible,
)

KEYS = (b"a", b"b", b"c")


@dataclass
class Write:
    """One write: of a whole view or of changes, finished or killed after so many of its rows."""

    replace: bool
    upserts: set[bytes]
    deletes: set[bytes]
    killed_after: int | None


known = st.builds(
    Versions,
    state=st.none() | st.just(b"state"),
    committed=st.integers(0, 6),
    base=st.integers(0, 6),
    colour=st.integers(0, 1),
    aborted=st.sampled_from([(), ((2, 3),), ((1, 1), (4, 5))]),
)

writes = st.lists(
    st.builds(
        Write,
        replace=st.booleans(),
        upserts=st.sets(st.sampled_from(KEYS)),
        deletes=st.sets(st.sampled_from(KEYS)),
        killed_after=st.none() | st.integers(0, 4),
    ),
    max_size=12,
)


@dataclass
class Table:
    """Slots as a server keeps them: of two writes of one, the greater timestamp stays."""

    cells: dict[tuple[bytes, int], tuple[int, int, bytes]] = field(default_factory=dict)

    def put(self, key: bytes, slot: int, mark: int, row: bytes, stamp: int) -> None:
        known = self.cells.get((key, slot))
        if known is None or known[0] < stamp:
            self.cells[key, slot] = (stamp, mark, row)

    def slots(self, key: bytes) -> list[Stored]:
        return [(slot, mark, row) for (k, slot), (_, mark, row) in self.cells.items() if k == key]


def rows_of(write: Write, versions: Versions, table: Table) -> list[tuple[bytes, int, int, bytes]]:
    """What the writer puts, in the order in which it does."""
    version = versions.allocated + 1
    row = b"%d" % version
    if write.replace or versions.state is None:
        slot = (1 - versions.colour) * 2
        mark = mark_of(version, unseen=True, gone=False)
        return [(key, slot, mark, row) for key in sorted(write.upserts)]
    made = []
    for key in sorted(write.deletes - write.upserts):
        seen = visible(versions, table.slots(key))
        if seen is not None and not is_gone(seen):
            made.append((key, seen[0] ^ 1, mark_of(version, unseen=False, gone=True), b""))
    for key in sorted(write.upserts):
        made.append((key, *next_slot(versions, table.slots(key), version), row))
    return made


@given(writes, st.data())
def test_every_reader_sees_its_own_commit(history: list[Write], data: st.DataObject) -> None:
    table, versions = Table(), Versions()
    commits: list[tuple[Versions, dict[bytes, bytes]]] = [(versions, {})]
    late: list[tuple[bytes, int, int, bytes, int]] = []

    def check() -> None:
        for known, rows in commits:
            for key in KEYS:
                slots = table.slots(key)
                found = choose(known, slots)
                if found is Missing.UNSURE and known is not commits[-1][0]:
                    continue
                seen = visible(known, slots)
                if found is not Missing.UNSURE:
                    assert found == (Missing.ABSENT if seen is None else seen)
                assert (None if seen is None or is_gone(seen) else seen[2]) == rows.get(key)

    for write in history:
        replace = write.replace or versions.state is None
        version = versions.allocated + 1
        puts = rows_of(write, versions, table)
        # Some rows of a killed writer arrive much later, when others have written.
        for number, put in enumerate(puts):
            stamped = (*put, timestamp(version, 0))
            if write.killed_after is not None and number >= write.killed_after:
                late.append(stamped)
            else:
                table.put(*stamped)
                check()
        if write.killed_after is not None:
            # A version that was taken shows in the next reading of `allocated`, and no more.
            versions = Versions(**{**vars(versions), "allocated": version})
            commits[-1] = (versions, commits[-1][1])
            continue
        rows = {} if replace else dict(commits[-1][1])
        if not replace:
            rows = {key: row for key, row in rows.items() if key not in write.deletes}
        rows |= dict.fromkeys(write.upserts, b"%d" % version)
        versions = versions.commit(version, b"state", replace=replace)
        commits.append((versions, rows))
        for _ in range(data.draw(st.integers(0, len(late)))):
            table.put(*late.pop())
        check()


@given(st.integers(1, 2**40), st.integers(0, LAST_CHUNK), st.integers(1, 2**40), st.integers(0, 9))
def test_timestamps_grow_with_versions_and_then_chunks(a: int, i: int, b: int, j: int) -> None:
    assert (timestamp(a, i) < timestamp(b, j)) == ((a, i) < (b, j))


def test_timestamps_are_never_in_the_future() -> None:
    """ScyllaDB refuses those: a billion writes of a view are still in the past."""
    assert timestamp(10**9, LAST_CHUNK) < 1_700_000_000_000_000


@given(
    known,
    st.integers(0, 3),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
)
def test_views_of_one_slot_are_told_as_any(
    versions: Versions, slot: int, version: int, unseen: bool, gone: bool
) -> None:
    """A view with two slots beside it keeps a partition from the shorter way."""
    mark = mark_of(version, unseen=unseen, gone=gone)
    committed = {"v": versions, "w": Versions()}
    row = ("v", slot, mark, b"row")
    short, long = set[str](), set[str]()
    by_short = choose_all([row], committed, short)
    by_long = choose_all([row, ("w", 0, 2, b""), ("w", 1, 4, b"")], committed, long)
    assert (by_short, short) == (by_long, long)


@given(
    known,
    st.dictionaries(
        st.integers(0, 3), st.tuples(st.integers(0, 7), st.booleans(), st.booleans()), max_size=4
    ),
)
def test_lookups_of_one_entity_choose_as_all_others(
    versions: Versions, slots: dict[int, tuple[int, bool, bool]]
) -> None:
    """Or say that they cannot. No two slots are of one version."""
    drawn = dict(zip(slots, dict.fromkeys(v for v, _, _ in slots.values()), strict=False))
    rows = [
        ("v", slot, mark_of(drawn[slot], unseen=unseen, gone=gone), b"%d" % slot)
        for slot, (_, unseen, gone) in sorted(slots.items())
        if slot in drawn
    ]
    committed = {"v": versions, "w": Versions(b"state", 1, 1, 1, 0)}
    rows.append(("w", 0, mark_of(1, unseen=True, gone=False), b"w"))
    rows.append(("x", 0, mark_of(1, unseen=True, gone=False), b"of no commit"))
    found = choose_one(rows, heads_of(committed))
    unsure = set[str]()
    general = choose_all(rows, committed, unsure)
    assert found is None or (found == general and not unsure)
    # It is of use: one slot that was written and committed needs no closer look.
    plain = len(rows) == 3 and rows[0][2] > 0 and not versions.aborted
    if plain and versions.base <= rows[0][2] // 2 <= versions.committed:
        assert found is not None
