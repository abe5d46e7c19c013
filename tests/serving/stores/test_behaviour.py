"""What every online store does. A new store joins STORES."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from serving.keys import encode_key
from serving.stores import OnlineStore, OvertakenError, Slice, StoredView, open_store
from serving.stores.cql.address import READERS
from tests.serving.project import stored_view

STORES = (
    "lmdb",
    *(pytest.param(f"cql by {reader}", marks=pytest.mark.slow) for reader in READERS),
)

V, V2, OTHER = map(stored_view, ("v", "v2", "other"))
AA, B6 = encode_key(["AA"]), encode_key(["B6"])


@pytest.fixture(params=STORES)
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    kind, _, reader = request.param.partition(" by ")
    if kind == "cql":
        new_keyspace: Callable[[], str] = request.getfixturevalue("new_keyspace")
        return f"{new_keyspace()}&reader={reader}"
    return f"lmdb://{tmp_path}/online.lmdb"


@pytest.fixture
def many(uri: str) -> int:
    """More rows than the store writes at once."""
    return 60_000 if uri.startswith("lmdb") else 6_000


@pytest.fixture
def store(uri: str) -> Iterator[OnlineStore]:
    opened = open_store(uri)
    yield opened
    opened.close()


def rows(n: int, value: bytes = b"v") -> list[tuple[bytes, bytes]]:
    return [(encode_key([str(i)]), value + b"%d" % i) for i in range(n)]


def test_nothing_written(store: OnlineStore) -> None:
    found = store.get_many({V: [b"1", b"2"]})
    assert found["v"].state is None
    assert found["v"].rows == [None, None]
    assert store.get_state(V) is None
    assert list(store.items(V)) == []


def test_rows_and_state_read_back(store: OnlineStore) -> None:
    written = rows(3)
    store.write(V, written, [], b"one", replace=True)
    keys = [key for key, _ in written]
    found = store.get_many({V: [keys[2], b"none", keys[0], keys[0]]})
    assert found["v"].state == b"one"
    assert found["v"].rows == [b"v2", None, b"v0", b"v0"]
    assert sorted(store.items(V)) == sorted(written)


def test_views_are_apart(store: OnlineStore) -> None:
    store.write(V, rows(3), [], b"v", replace=True)
    store.write(V2, rows(2), [], b"v2", replace=True)
    store.write(V, [], [], b"empty", replace=True)
    assert list(store.items(V)) == []
    assert len(list(store.items(V2))) == 2
    found = store.get_many({V: [encode_key(["0"])], V2: [encode_key(["0"])]})
    assert (found["v"].state, found["v"].rows) == (b"empty", [None])
    assert (found["v2"].state, found["v2"].rows) == (b"v2", [b"v0"])


def test_changes_keep_the_other_rows(store: OnlineStore) -> None:
    store.write(V, rows(4), [], b"one", replace=True)
    keys = [key for key, _ in rows(6)]
    changes = [(keys[1], b"new"), (keys[4], b"first"), (keys[4], b"last")]
    store.write(V, changes, [keys[0], keys[5], keys[1]], b"two", replace=False)
    assert store.get_many({V: keys})["v"].rows == [None, b"new", b"v2", b"v3", b"last", None]
    assert store.get_state(V) == b"two"


def test_changes_before_any_replacement(store: OnlineStore) -> None:
    store.write(V, rows(2), [], b"one", replace=False)
    assert sorted(store.items(V)) == rows(2)


def test_replacing_removes_what_is_not_written(store: OnlineStore) -> None:
    store.write(V, rows(5), [], b"one", replace=True)
    store.write(V, rows(2, b"w"), [], b"two", replace=True)
    assert sorted(store.items(V)) == rows(2, b"w")
    assert store.get_state(V) == b"two"


def test_the_later_of_two_rows_counts(store: OnlineStore) -> None:
    key = encode_key(["k"])
    store.write(V, [(key, b"first"), (key, b"last")], [], b"s", replace=True)
    assert list(store.items(V)) == [(key, b"last")]


def test_state_alone(store: OnlineStore) -> None:
    store.write(V, rows(2), [], b"one", replace=True)
    store.write(V, (), (), b"two", replace=False)
    assert store.get_state(V) == b"two"
    assert sorted(store.items(V)) == rows(2)
    store.write(OTHER, (), (), b"state", replace=False)
    store.write(OTHER, rows(1), [], b"more", replace=False)
    assert sorted(store.items(OTHER)) == rows(1)
    assert sorted(store.items(V)) == rows(2)


def test_a_state_that_counts_the_rows_it_came_with(store: OnlineStore) -> None:
    taken: list[bytes] = []

    def counted() -> Iterator[tuple[bytes, bytes]]:
        for key, row in rows(3):
            taken.append(key)
            yield key, row

    for replace in (True, False):
        store.write(V, counted(), [], lambda: b"%d" % len(taken), replace=replace)
    assert store.get_state(V) == b"6"


def test_a_write_that_was_overtaken_changes_nothing(store: OnlineStore) -> None:
    store.write(V, rows(2), [], b"one", replace=True)
    store.write(V, rows(1, b"w"), [], b"two", replace=False, after=b"one")
    for replace in (True, False):
        with pytest.raises(OvertakenError, match="another writer"):
            store.write(V, rows(3, b"x"), [], b"three", replace=replace, after=b"one")
    assert store.get_state(V) == b"two"
    assert sorted(store.items(V)) == [(b"0", b"w0"), (b"1", b"v1")]


def test_views_of_other_entities_have_other_rows(store: OnlineStore) -> None:
    """Keys hold no names, so that one user's key may be an item's too."""
    by_item = StoredView("by_item", ("item",))
    store.write(V, rows(1, b"user"), [], b"v", replace=True)
    store.write(by_item, rows(1, b"item"), [], b"i", replace=True)
    assert store.get_many({V: [b"0"], by_item: [b"0"]}) == {
        "v": Slice(b"v", [b"user0"]),
        "by_item": Slice(b"i", [b"item0"]),
    }


def test_reading_in_an_event_loop(store: OnlineStore) -> None:
    store.write(V, rows(2), [], b"v", replace=True)
    wanted = {V: [b"1", b"none", b""], OTHER: [b"1"]}
    assert asyncio.run(store.read(wanted)) == store.get_many(wanted)


def test_empty_keys_and_rows(store: OnlineStore) -> None:
    store.write(V, [(b"", b"row"), (b"k", b"")], [], b"v", replace=True)
    assert store.get_many({V: [b"", b"k"]})["v"].rows == [b"row", b""]
    store.write(V, [], [b"", b"k"], b"v", replace=False)
    assert list(store.items(V)) == []


def test_long_keys(store: OnlineStore) -> None:
    written = [(encode_key([c * n]), c.encode()) for c in "xy" for n in (499, 500, 9000)]
    store.write(V, written, [], b"s", replace=True)
    keys = [key for key, _ in written]
    assert store.get_many({V: keys})["v"].rows == [row for _, row in written]
    assert sorted(store.items(V)) == sorted(written)
    store.write(V, [(keys[0], b"new")], keys[2:], b"t", replace=False)
    assert store.get_many({V: keys})["v"].rows == [b"new", b"x", None, None, None, None]


def test_a_failing_source_of_rows_changes_nothing(store: OnlineStore, many: int) -> None:
    store.write(V, rows(2), [], b"one", replace=True)

    def broken() -> Iterator[tuple[bytes, bytes]]:
        yield from rows(many, b"new")
        raise ForebayError("lost the lake", where="test", hint="none")

    for replace in (True, False):
        with pytest.raises(ForebayError, match="lost the lake"):
            store.write(V, broken(), [], b"two", replace=replace)
        assert sorted(store.items(V)) == rows(2)
        assert store.get_state(V) == b"one"
    store.write(V, rows(1), [], b"three", replace=True)
    assert sorted(store.items(V)) == rows(1)


def test_another_opening_sees_what_was_written(uri: str) -> None:
    writer = open_store(uri)
    writer.write(V, rows(2), [], b"one", replace=True)
    reader = open_store(uri, readonly=True)
    assert reader.get_state(V) == b"one"
    writer.write(V, rows(1, b"w"), [], b"two", replace=True)
    assert sorted(reader.items(V)) == rows(1, b"w")
    writer.close()
    assert reader.get_state(V) == b"two"
    with pytest.raises(ValueError, match="opened to be read"):
        reader.write(V, (), (), b"three", replace=False)
    reader.close()
    reader.close()


@pytest.mark.slow
def test_readers_see_one_moment_while_rows_change(store: OnlineStore, many: int) -> None:
    """Rows and state change together under a reader's eyes, through growth and replacement."""
    keys = [key for key, _ in rows(200)]

    def generation(n: int) -> list[tuple[bytes, bytes]]:
        return [(key, b"%d" % n + b"." * 4000) for key in keys]

    store.write(V, generation(0), [], b"0", replace=True)
    torn: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = store.get_many({V: keys})["v"]
            state = found.state or b"none"
            torn.extend(state for row in found.rows if row is None or row.split(b".")[0] != state)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(1, many // 500):
        store.write(V, generation(n), [], b"%d" % n, replace=n % 3 != 0)
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []


@pytest.mark.slow
def test_more_than_the_first_size(store: OnlineStore, many: int) -> None:
    big = [(encode_key([str(i)]), b"x" * 2000) for i in range(many)]
    store.write(V, big, [], b"s", replace=True)
    found = store.get_many({V: [key for key, _ in big[:: many // 10]]})["v"]
    assert found.rows == [b"x" * 2000] * 10
    assert sum(1 for _ in store.items(V)) == many


def test_what_is_stored_is_listed_and_dropped(store: OnlineStore) -> None:
    earlier, later = StoredView("v@1", ("carrier",)), StoredView("v@2", ("carrier",))
    for view, row in ((earlier, b"old"), (later, b"new")):
        store.write(view, [(AA, row)], (), b"state of " + row, replace=True)
    listed = {view.name: (view, state) for view, state in store.states().items()}
    assert {n: state for n, (_, state) in listed.items()} == {
        "v@1": b"state of old",
        "v@2": b"state of new",
    }
    store.drop(listed["v@1"][0])
    store.drop(listed["v@1"][0])
    assert [view.name for view in store.states()] == ["v@2"]
    assert store.get_many({earlier: [AA], later: [AA]}) == {
        "v@1": Slice(None, [None]),
        "v@2": Slice(b"state of new", [b"new"]),
    }
    store.write(earlier, [(B6, b"again")], (), b"third", replace=False)
    assert store.get_many({earlier: [AA, B6]}) == {"v@1": Slice(b"third", [None, b"again"])}
