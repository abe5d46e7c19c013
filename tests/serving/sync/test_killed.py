"""A sync that is killed, at any instant: every read is old or new, never mixed, and the next goes on."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pyarrow as pa
import pytest

from feature_specs.instants import epoch_us
from serving.keys import encode_key
from serving.state import load_state
from serving.stores import OnlineStore, StoredView, open_store
from serving.sync import sync
from serving.verify import verify
from tests.serving.project import Project, history, instant, make_view

ROWS = 600
#: Syncs that are killed; `make torture` says how many.
ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "50"))
#: How a child ends that was not killed, by whether it applied changes.
CHANGED, REPLACED = 10, 11
START = instant("06-01T00:00")
#: Imports once; each line of input is a kind of death, a place and a delay for a child that syncs.
SYNCER = """
import os, pickle, signal, sys, threading
from serving.stores import environment, lmdb_layout
from serving.sync import sync
catalog = pickle.load(open(sys.argv[1], "rb"))
lmdb_layout._BATCH, lmdb_layout._LOOK = 100, 50

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def child(where, number, delay):
    commit, seen = environment.Environment.commit, [0]
    def counted(self, work):
        seen[0] += 1
        here = seen[0] == number
        if here and where == "before":
            die()
        def dying(txn):
            work(txn)
            die()
        commit(self, dying if here and where == "inside" else work)
        if here and where == "after":
            die()
    environment.Environment.commit = counted
    if where == "timed":
        threading.Timer(delay, die).start()
    (report,) = sync(catalog)
    os._exit(10 if report.action == "changed" else 11)

for line in sys.stdin:
    where, number, delay = line.split()
    pid = os.fork()
    if pid == 0:
        child(where, int(number), float(delay))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@contextmanager
def syncer(project: Project) -> Iterator[subprocess.Popen[str]]:
    file = project.folder / "catalog.pickle"
    file.write_bytes(pickle.dumps(project.catalog))
    arguments = [sys.executable, "-c", SYNCER, str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def versions(store: OnlineStore, view: StoredView, keys: list[bytes]) -> set[int]:
    """The versions that the state and the rows of one read name."""
    found = store.get_many({view: keys})[view.name]
    state = load_state(found.state)
    assert state is not None
    at = (state.at - epoch_us(START)) // 60_000_000
    return {at, *(-1 if row is None else int(row.split(b"\0")[1]) for row in found.rows)}


def kill_syncs(
    project: Project, build: Callable[[int], None], read: Callable[[], set[int]]
) -> list[int]:
    """Kill syncs of one build after the other; gives how each ended."""
    drawn = random.Random(14)
    outcomes: list[int] = []
    online = 0
    with syncer(project) as process:
        assert process.stdin is not None and process.stdout is not None
        for number in range(1, ROUNDS + 1):
            build(number)
            where = drawn.choice(["before", "inside", "after", "timed"])
            # Changes are one transaction; a load with its sweeps is some twenty.
            place, delay = drawn.randint(1, 2 if number % 3 == 2 else 30), drawn.uniform(0, 0.3)
            process.stdin.write(f"{where} {place} {delay}\n")
            process.stdin.flush()
            outcomes.append(int(process.stdout.readline()))
            (now,) = read()
            assert now in (online, number)
            online = now
    return outcomes


@pytest.mark.slow
def test_killed_at_any_instant(project: Project) -> None:
    view = make_view("numbered")
    project.add(view)
    names = [f"carrier {n}" for n in range(ROWS)]
    stored, keys = StoredView.of(view), [encode_key([name]) for name in names]

    def build(number: int) -> None:
        """Every row says its number. The log misses one build in three."""
        values = pa.array([number] * ROWS, pa.int64())
        rows = pa.table({"carrier": names, "n": values, "delay": pa.array([0.5] * ROWS)})
        at = START + timedelta(minutes=number)
        log = history(rows, [at] * ROWS, [False] * ROWS) if number % 3 else None
        project.build(view, rows, at, changes=log)

    build(0)
    sync(project.catalog)
    store = open_store(project.catalog.online, readonly=True)
    mixed: list[set[int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen = versions(store, stored, keys[::60])
            if len(seen) != 1:
                mixed.append(seen)
            time.sleep(0.002)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        outcomes = kill_syncs(project, build, lambda: versions(store, stored, keys))
    finally:
        done.set()
        reader.join()
    assert mixed == []
    assert set(outcomes) == {CHANGED, REPLACED, -signal.SIGKILL}
    build(ROUNDS + 1)
    (report,) = sync(project.catalog)
    assert report.error is None and report.rows == ROWS
    assert verify(project.catalog)[0].equal
    assert len(list(store.items(stored))) == ROWS
    store.close()
