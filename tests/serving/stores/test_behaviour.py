"""What every online store does. A new store joins by adding a line to URIS."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feature_specs.errors import ForebayError
from serving.keys import encode_key
from serving.stores import OnlineStore, open_store

URIS: dict[str, Callable[[Path], str]] = {"lmdb": lambda folder: f"lmdb://{folder}/online.lmdb"}


@pytest.fixture(params=sorted(URIS))
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return URIS[request.param](tmp_path)


@pytest.fixture
def store(uri: str) -> Iterator[OnlineStore]:
    opened = open_store(uri)
    yield opened
    opened.close()


def rows(view: str, n: int, value: bytes = b"v") -> list[tuple[bytes, bytes]]:
    return [(encode_key(view, [str(i)]), value + b"%d" % i) for i in range(n)]


def test_nothing_written(store: OnlineStore) -> None:
    found = store.get_many({"v": [b"v\0001", b"v\0002"]})
    assert found["v"].state is None
    assert found["v"].rows == [None, None]
    assert store.get_state("v") is None
    assert list(store.items("v")) == []


def test_rows_and_state_read_back(store: OnlineStore) -> None:
    written = rows("v", 3)
    store.write("v", written, [], b"one", replace=True)
    keys = [key for key, _ in written]
    found = store.get_many({"v": [keys[2], b"v\0none", keys[0], keys[0]]})
    assert found["v"].state == b"one"
    assert found["v"].rows == [b"v2", None, b"v0", b"v0"]
    assert sorted(store.items("v")) == sorted(written)


def test_views_are_apart(store: OnlineStore) -> None:
    store.write("v", rows("v", 3), [], b"v", replace=True)
    store.write("v2", rows("v2", 2), [], b"v2", replace=True)
    store.write("v", [], [], b"empty", replace=True)
    assert list(store.items("v")) == []
    assert len(list(store.items("v2"))) == 2
    found = store.get_many({"v": [encode_key("v", ["0"])], "v2": [encode_key("v2", ["0"])]})
    assert (found["v"].state, found["v"].rows) == (b"empty", [None])
    assert (found["v2"].state, found["v2"].rows) == (b"v2", [b"v0"])


def test_changes_keep_the_other_rows(store: OnlineStore) -> None:
    store.write("v", rows("v", 4), [], b"one", replace=True)
    keys = [key for key, _ in rows("v", 6)]
    changes = [(keys[1], b"new"), (keys[4], b"first"), (keys[4], b"last")]
    store.write("v", changes, [keys[0], keys[5], keys[1]], b"two", replace=False)
    assert store.get_many({"v": keys})["v"].rows == [None, b"new", b"v2", b"v3", b"last", None]
    assert store.get_state("v") == b"two"


def test_changes_before_any_replacement(store: OnlineStore) -> None:
    store.write("v", rows("v", 2), [], b"one", replace=False)
    assert sorted(store.items("v")) == rows("v", 2)


def test_replacing_removes_what_is_not_written(store: OnlineStore) -> None:
    store.write("v", rows("v", 5), [], b"one", replace=True)
    store.write("v", rows("v", 2, b"w"), [], b"two", replace=True)
    assert sorted(store.items("v")) == rows("v", 2, b"w")
    assert store.get_state("v") == b"two"


def test_the_later_of_two_rows_counts(store: OnlineStore) -> None:
    key = encode_key("v", ["k"])
    store.write("v", [(key, b"first"), (key, b"last")], [], b"s", replace=True)
    assert list(store.items("v")) == [(key, b"last")]


def test_state_alone(store: OnlineStore) -> None:
    store.write("v", rows("v", 2), [], b"one", replace=True)
    store.put_state("v", b"two")
    assert store.get_state("v") == b"two"
    assert sorted(store.items("v")) == rows("v", 2)
    store.put_state("other", b"state")
    store.write("other", rows("other", 1), [], b"more", replace=False)
    assert sorted(store.items("other")) == rows("other", 1)
    assert sorted(store.items("v")) == rows("v", 2)


def test_long_keys(store: OnlineStore) -> None:
    written = [(encode_key("v", [c * n]), c.encode()) for c in "xy" for n in (499, 500, 9000)]
    store.write("v", written, [], b"s", replace=True)
    keys = [key for key, _ in written]
    assert store.get_many({"v": keys})["v"].rows == [row for _, row in written]
    assert sorted(store.items("v")) == sorted(written)
    store.write("v", [(keys[0], b"new")], keys[2:], b"t", replace=False)
    assert store.get_many({"v": keys})["v"].rows == [b"new", b"x", None, None, None, None]


def test_a_failing_source_of_rows_changes_nothing(store: OnlineStore) -> None:
    store.write("v", rows("v", 2), [], b"one", replace=True)

    def broken() -> Iterator[tuple[bytes, bytes]]:
        yield from rows("v", 60_000, b"new")
        raise ForebayError("lost the lake", where="test", mend="none")

    for replace in (True, False):
        with pytest.raises(ForebayError, match="lost the lake"):
            store.write("v", broken(), [], b"two", replace=replace)
        assert sorted(store.items("v")) == rows("v", 2)
        assert store.get_state("v") == b"one"
    store.write("v", rows("v", 1), [], b"three", replace=True)
    assert sorted(store.items("v")) == rows("v", 1)


def test_another_opening_sees_what_was_written(uri: str) -> None:
    writer = open_store(uri)
    writer.write("v", rows("v", 2), [], b"one", replace=True)
    reader = open_store(uri, readonly=True)
    assert reader.get_state("v") == b"one"
    writer.write("v", rows("v", 1, b"w"), [], b"two", replace=True)
    assert sorted(reader.items("v")) == rows("v", 1, b"w")
    writer.close()
    assert reader.get_state("v") == b"two"
    with pytest.raises(ValueError, match="opened to be read"):
        reader.put_state("v", b"three")
    reader.close()
    reader.close()


@pytest.mark.slow
def test_readers_see_one_moment_while_rows_change(store: OnlineStore) -> None:
    """Rows and state change together under a reader's eyes, through growth and replacement."""
    keys = [key for key, _ in rows("v", 200)]

    def generation(n: int) -> list[tuple[bytes, bytes]]:
        return [(key, b"%d" % n + b"." * 4000) for key in keys]

    store.write("v", generation(0), [], b"0", replace=True)
    torn: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = store.get_many({"v": keys})["v"]
            state = found.state or b"none"
            torn.extend(state for row in found.rows if row is None or row.split(b".")[0] != state)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(1, 120):
        store.write("v", generation(n), [], b"%d" % n, replace=n % 3 != 0)
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []


@pytest.mark.slow
def test_more_than_the_first_size(store: OnlineStore) -> None:
    big = [(encode_key("v", [str(i)]), b"x" * 2000) for i in range(60_000)]
    store.write("v", big, [], b"s", replace=True)
    found = store.get_many({"v": [key for key, _ in big[::6000]]})["v"]
    assert found.rows == [b"x" * 2000] * 10
    assert sum(1 for _ in store.items("v")) == 60_000
