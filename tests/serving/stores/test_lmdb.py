"""What is LMDB's own: URIs, processes killed while they write, maps grown by another process."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest

from feature_specs.errors import ForebayError
from serving.stores import lmdb_layout, open_store
from tests.serving.project import stored_view

pytestmark = pytest.mark.slow

V = stored_view("v")
WRITER = """
import sys
from serving.stores import StoredView, open_store
store = open_store(sys.argv[1])
def rows():
    for i in range(10_000_000):
        if i == 120_000:
            print("writing", flush=True)
        yield b"%d" % i, b"new" + b"x" * 500
store.write(StoredView("v", ("carrier",)), rows(), [], b"two", replace=True)
"""


def test_a_killed_writer_leaves_the_old_rows(tmp_path: Path) -> None:
    uri = f"lmdb://{tmp_path}/store"
    store = open_store(uri)
    old = [(b"%d" % i, b"old") for i in range(10)]
    store.write(V, old, [], b"one", replace=True)
    with subprocess.Popen([sys.executable, "-c", WRITER, uri], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        # The writer has grown the map by now: this process follows.
        assert store.get_state(V) == b"one"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    assert sorted(store.items(V)) == old
    changed = [(b"%d" % i, b"newer") for i in range(3)]
    store.write(V, changed, [], b"three", replace=True)
    assert sorted(store.items(V)) == changed
    assert store.get_state(V) == b"three"
    store.close()


@pytest.mark.parametrize("uri", ["lmdb:relative/folder", "lmdb://host/folder", "redis://x", "x"])
def test_uris_that_mean_nothing(uri: str) -> None:
    with pytest.raises(ForebayError) as caught:
        open_store(uri)
    assert caught.value.hint


def test_reading_before_any_sync(tmp_path: Path) -> None:
    with pytest.raises(ForebayError, match="forebay sync"):
        open_store(f"lmdb://{tmp_path}/none", readonly=True)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ForebayError, match="cannot open the online store"):
        open_store(f"lmdb://{tmp_path}/file/store")


def test_spaces_in_a_path(tmp_path: Path) -> None:
    store = open_store(f"lmdb://{tmp_path}/two%20words")
    store.close()
    assert (tmp_path / "two words" / "data.mdb").exists()


def test_rows_of_the_first_layout_are_told_and_written_anew(tmp_path: Path) -> None:
    """Its keys held the view's name: read as today's they would all be not found."""
    generation = b"\0" * 7 + b"\1"
    with lmdb.open(str(tmp_path / "store")) as environment, environment.begin(write=True) as txn:
        txn.put(b"\0v", generation + b"one")
        txn.put(b"\1" + generation + b"\1v\0AA", b"\x003")
    uri = f"lmdb://{tmp_path}/store"
    for _ in range(2):
        with pytest.raises(ForebayError, match="another version") as caught:
            open_store(uri, readonly=True)
        assert "forebay sync" in caught.value.hint
    store = open_store(uri)
    assert store.get_state(V) is None
    store.write(V, [(b"AA", b"\x004")], [], b"two", replace=False)
    store.close()
    store = open_store(uri, readonly=True)
    assert list(store.items(V)) == [(b"AA", b"\x004")]
    store.close()


def test_reading_a_folder_that_nothing_was_written_to(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "store")):
        pass
    store = open_store(f"lmdb://{tmp_path}/store", readonly=True)
    assert store.get_state(V) is None
    store.close()


@pytest.mark.parametrize("order", ["sorted", "random", "sorted at first"])
def test_rows_in_any_order(order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their keys rows are appended; long keys and repeated ones are among them."""
    monkeypatch.setattr(lmdb_layout, "_BATCH", 20)
    monkeypatch.setattr(lmdb_layout, "_LOOK", 7)
    drawn = random.Random(order)
    keys = [b"%d" % n + b"k" * drawn.choice([0, 3, 490, 600]) for n in range(300)]
    rows = [(key, b"%d" % n) for n, key in enumerate(keys)]
    rows.sort(key=lambda row: row[0])
    if order != "sorted":
        rows[100 if order == "sorted at first" else 0 :] = drawn.choices(rows, k=300)
    store = open_store(f"lmdb://{tmp_path}/store")
    for _ in range(2):
        store.write(V, rows, [], b"state", replace=True)
        assert dict(store.items(V)) == dict(rows)
        found = store.get_many({V: keys})[V.name].rows
        assert found == [dict(rows).get(key) for key in keys]
    store.close()


def _in_child(ask: Callable[[], str]) -> str:
    """What a forked process says."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(write, ask().encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


def test_a_fork_while_threads_read(tmp_path: Path) -> None:
    """Both processes read and write on; neither takes the other's place in LMDB's table of readers."""
    store = open_store(f"lmdb://{tmp_path}/store")
    store.write(V, [(b"k", b"0")], [], b"0", replace=True)
    over = threading.Event()

    def read() -> int:
        count = 0
        while not over.is_set():
            assert store.get_many({V: [b"k"]})["v"].rows[0] is not None
            count += 1
        return count

    def ask() -> str:
        before = store.get_many({V: [b"k"]})["v"].rows[0]
        store.write(V, [(b"k", b"%d" % number)], [], b"", replace=False)
        after = store.get_many({V: [b"k"]})["v"].rows[0]
        return f"{before!r} {after!r}"

    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for number in range(1, 10):
                assert _in_child(ask) == f"{b'%d' % (number - 1)!r} {b'%d' % number!r}"
                assert store.get_many({V: [b"k"]})["v"].rows == [b"%d" % number]
        finally:
            over.set()
        assert all(reader.result() for reader in readers)
    store.close()


def test_a_fork_in_the_midst_of_a_read(tmp_path: Path) -> None:
    """The child says what is wrong; the parent's read goes on, its moment kept."""
    store = open_store(f"lmdb://{tmp_path}/store")
    store.write(V, [(b"%d" % n, b"old") for n in range(1000)], [], b"", replace=True)
    items = store.items(V)
    seen = [next(items)]

    def ask() -> str:
        try:
            store.get_many({V: [b"k"]})
        except ForebayError as error:
            return str(error)
        return "answered"

    assert "forked while the online store was read" in _in_child(ask)
    for n in range(5):
        store.write(V, [(b"%d" % k, b"new%d" % n) for k in range(1000)], [], b"", replace=True)
    seen += items
    assert {row for _, row in seen} == {b"old"} and len(seen) == 1000
    store.close()
