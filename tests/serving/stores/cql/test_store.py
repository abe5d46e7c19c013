"""What is the CQL store's own: late writes, killed writers, servers that go and come back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from feature_specs.errors import ForebayError
from serving.stores import NoStoreError, OnlineStore, StoreDownError, open_store
from serving.stores.cql.schema import LAYOUT, PUT, ROWS, VIEWS
from tests.servers.cassandra import CassandraServer, cassandra_server
from tests.serving.project import stored_view

pytestmark = pytest.mark.slow

V = stored_view("v")
KEYS = [b"%d" % n for n in range(40)]
#: Writers that are killed; `make torture` has more.
ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "12"))


@pytest.fixture
def uri(new_keyspace: Callable[[], str]) -> str:
    return new_keyspace()


@pytest.fixture
def store(uri: str) -> Iterator[OnlineStore]:
    opened = open_store(uri)
    yield opened
    opened.close()


@pytest.fixture
def session(cassandra: CassandraServer, uri: str) -> Iterator[Any]:
    with cassandra.connect(urlsplit(uri).path[1:]) as opened:
        yield opened


def dump(session: Any) -> list[tuple[Any, ...]]:
    """Every stored row with its timestamp, in PUT's order."""
    columns = "entities, key, feature_view, slot, mark, row, writetime(row)"
    return [tuple(row) for row in session.execute(f"select {columns} from {ROWS}")]


def test_late_repeated_and_reordered_writes_change_nothing(
    store: OnlineStore, session: Any
) -> None:
    """Every row ever written arrives again, in any order: what was written last stays."""
    written: list[tuple[Any, ...]] = []
    expected = {b"a": b"1", b"b": b"1", b"c": b"1"}
    store.write(V, expected.items(), (), b"1", replace=True)
    written += dump(session)
    steps: list[tuple[dict[bytes, bytes], list[bytes]]] = [
        ({b"a": b"2"}, [b"b"]),
        ({b"b": b"3", b"d": b"3"}, [b"a"]),
        ({b"a": b"4"}, [b"c", b"d"]),
        ({b"c": b""}, [b"none"]),
    ]
    for upserts, deletes in steps:
        store.write(V, upserts.items(), deletes, b"s", replace=False)
        written += dump(session)
        expected = {k: row for k, row in expected.items() if k not in deletes} | upserts
    assert dict(store.items(V)) == expected
    put = session.prepare(PUT)
    for number in range(5):
        random.Random(number).shuffle(written)
        for row in written:
            session.execute(put, row)
        assert dict(store.items(V)) == expected


def test_a_delete_does_not_hide_what_is_written_after_it(uri: str) -> None:
    """Also once the removed row has left its partition, which closing the store waits for."""
    for version in range(3):
        store = open_store(uri)
        store.write(V, [(b"k", b"%d" % version)], (), b"there", replace=False)
        store.write(V, (), [b"k"], b"gone", replace=False)
        assert store.get_many({V: [b"k"]})["v"].rows == [None]
        if version == 1:
            store.write(V, [(b"k", b"back")], (), b"there", replace=False)
        store.close()
        store = open_store(uri, readonly=True)
        assert store.get_many({V: [b"k"]})["v"].rows == [b"back" if version == 1 else None]
        store.close()


def test_what_no_reader_sees_leaves_the_partitions(uri: str, session: Any) -> None:
    store = open_store(uri)
    store.write(V, [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")], (), b"one", replace=True)
    store.write(V, [(b"a", b"2")], (), b"two", replace=True)
    store.close()
    assert {row[1] for row in dump(session)} == {b"a"}
    store = open_store(uri)
    store.write(V, [(b"a", b"3"), (b"b", b"3")], (), b"three", replace=False)
    store.write(V, (), [b"b"], b"four", replace=False)
    store.drop(V)
    store.close()
    assert dump(session) == []


def test_the_greater_value_does_not_win(store: OnlineStore) -> None:
    """As it would with one timestamp for both: two rows of a key in one write, chunks apart."""
    filler = [(b"%d" % n, b"") for n in range(6000)]
    store.write(V, [(b"k", b"zzz"), *filler, (b"k", b"aaa")], (), b"s", replace=True)
    assert store.get_many({V: [b"k"]})["v"].rows == [b"aaa"]
    store.write(V, [(b"k", b"zzz"), *filler[:5000], (b"k", b"bbb")], (), b"s", replace=False)
    assert store.get_many({V: [b"k"]})["v"].rows == [b"bbb"]


WRITER = """
import sys
from serving.stores import StoredView, open_store
view, keys = StoredView("v", ("carrier",)), [b"%d" % n for n in range(40)]
store = open_store(sys.argv[1])
number = int(store.get_state(view) or b"0")
print("writing", flush=True)
while True:
    number += 1
    rows = [(key, b"%d" % number + b"." * 300) for key in keys]
    store.write(view, rows, (), b"%d" % number, replace=number % 4 == 0)
"""


def test_killed_in_mid_sync_every_read_is_old_or_new(uri: str) -> None:
    """Readers run through all rounds; a round is a writer that is killed wherever it is."""
    open_store(uri).close()
    torn: list[Any] = []
    done = threading.Event()

    def read() -> None:
        reader = open_store(uri, readonly=True)
        while not done.is_set():
            found = reader.get_many({V: KEYS})["v"]
            rows = {None if row is None else row.split(b".")[0] for row in found.rows}
            if rows != {found.state}:
                torn.append((found.state, rows))
        reader.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    states = set()
    for number in range(ROUNDS):
        command = [sys.executable, "-c", WRITER, uri]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None and writer.stdout.readline() == b"writing\n"
            time.sleep(random.Random(number).uniform(0.1, 0.6))
            writer.send_signal(signal.SIGKILL)
        store = open_store(uri, readonly=True)
        states.add(store.get_state(V))
        store.close()
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert len(states) > ROUNDS // 2


def test_a_store_that_is_not_there_yet(
    cassandra: CassandraServer, new_keyspace: Callable[[], str]
) -> None:
    uri = new_keyspace()
    with pytest.raises(NoStoreError, match="forebay sync"):
        open_store(uri, readonly=True)
    with pytest.raises(ForebayError, match="no keyspace 'none'") as missing:
        open_store(uri.replace(urlsplit(uri).path, "/none"))
    assert "create keyspace none with replication" in missing.value.paste
    assert "'datacenter1': 3" in missing.value.paste
    with pytest.raises(ForebayError, match="no datacenter 'mars'") as elsewhere:
        open_store(uri.replace("datacenter1", "mars"))
    assert "'datacenter1'" in elsewhere.value.hint


def test_another_layout_is_told(store: OnlineStore, session: Any, uri: str) -> None:
    statement = (
        f"insert into {VIEWS} (layout, feature_view, allocated) values ({LAYOUT + 1}, 'v', 1)"
    )
    session.execute(statement)
    for readonly in (True, False):
        with pytest.raises(ForebayError, match=f"layout {LAYOUT + 1}, not {LAYOUT}"):
            open_store(uri, readonly=readonly)


def test_a_server_that_is_killed_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a password; readers and writers fail in bounded time, and go on without being reopened."""
    with cassandra_server(authenticated=True) as server:
        uri = server.create_keyspace("features")
        with pytest.raises(ForebayError, match="the online store"):
            open_store(uri)
        monkeypatch.setenv("FOREBAY_CQL_USER", "cassandra")
        monkeypatch.setenv("FOREBAY_CQL_PASSWORD", "cassandra")
        writer, reader = open_store(uri), None
        try:
            writer.write(V, [(b"k", b"old")], (), b"one", replace=True)
            reader = open_store(uri, readonly=True)
            server.kill()
            for _ in range(3):
                with pytest.raises(StoreDownError, match="does not answer"):
                    reader.get_many({V: [b"k"]})
                with pytest.raises(StoreDownError):
                    writer.write(V, [(b"k", b"lost")], (), b"lost", replace=False)
            server.start()
            assert eventually(lambda: reader.get_many({V: [b"k"]})["v"].rows) == [b"old"]
            eventually(lambda: writer.write(V, [(b"k", b"new")], (), b"two", replace=False))
            assert writer.get_many({V: [b"k"]})["v"].rows == [b"new"]
        finally:
            writer.close()
            if reader is not None:
                reader.close()


def eventually(work: Callable[[], Any]) -> Any:
    """The result of ``work`` once the store answers again."""
    for _ in range(300):
        try:
            return work()
        except StoreDownError:
            time.sleep(0.1)
    return work()
