"""Builds and upkeep that are killed at any point, and two builds at once: nothing lost, nothing wrong.

FOREBAY_KILL_ROUNDS says how often; `make torture` sets it to 50.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from feature_specs.instants import from_epoch_us
from feature_specs.view import FeatureView
from lakehouse.lake import catalog_errors, load_table, read_state
from tests.feature_specs.worlds import BASE, EVENTS
from tests.lakehouse.builds import HOUR, Build

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "3"))
VIEW = FeatureView(
    "sums",
    "select k, count(*) as n, sum(x) as s from events "
    "where ts > now() - interval '6' hour group by k",
    ("k",),
)

#: Builds at one instant after another, every third time in full, with upkeep of all tables in between.
SCRIPT = """
import itertools, pickle, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import duckdb
from lakehouse.feature_tables.materialize import advance_view
from lakehouse.lake import load_table, open_lake
from lakehouse.maintain.free_files import Ages
from lakehouse.maintain.keep_table import Rules, keep_table
from lakehouse.maintain.maintain_table import all_tables
from lakehouse.maintain.pinned import pins_of_tables
from lakehouse.relations import tune
from lakehouse.scan import define_relation, pin
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
entry, plan, at = pickle.loads((folder / "asked").read_bytes())
lake = open_lake({"name": "lake", "uri": f"sqlite:///{folder}/catalog.db",
                  "warehouse": f"{folder}/warehouse"})
print("ready", flush=True)
sys.stdin.readline()
connection = duckdb.connect()
tune(connection)
for n in itertools.count() if rounds == 0 else range(rounds):
    pinned = {"events": pin(load_table(lake, "raw.events"))}
    define_relation(connection, "events", pinned["events"])
    advance_view(connection, lake, entry, plan, pinned, at + timedelta(seconds=n),
                 full_refresh=n % 3 == 2)
    if rounds == 0:
        tables = all_tables(lake)
        none = timedelta(0)
        rules = Rules(pins_of_tables(tables.values()), Ages(none, none, 1), datetime.now(UTC), {})
        for name in tables:
            keep_table(lake, name, tables, rules)
"""


def start(build: Build, at: timedelta, rounds: int) -> subprocess.Popen[str]:
    """A process that stands ready to build."""
    (build.folder / "asked").write_bytes(pickle.dumps((build.entry, build.plan, BASE + at)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-c", SCRIPT, str(build.folder), str(rounds)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def append(build: Build, at: timedelta, number: int) -> None:
    moment = BASE + at
    rows = [(f"k{i}", 1, moment, moment, number, Decimal("0.10"), 0.5, "p", True) for i in range(3)]
    build.append(EVENTS, rows)


def test_killed_at_random_the_next_build_goes_on(tmp_path: Path) -> None:
    build, draw = Build(tmp_path, VIEW, (EVENTS,)), random.Random(int.from_bytes(os.urandom(4)))
    append(build, timedelta(0), 0)
    build.advance(BASE)
    for number in range(1, ROUNDS + 1):
        at = number * HOUR
        append(build, at, number)
        process = start(build, at, 0)
        go(process)
        time.sleep(draw.uniform(0, 4))
        process.kill()
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said
        states = [
            read_state(load_table(build.lake, name))
            for name in (build.entry.table, build.entry.history_table)
        ]
        if states[0] is not None and states[0] == states[1]:
            build.check(from_epoch_us(states[0].at))
        build.advance(BASE + at + HOUR / 2)
        build.check(BASE + at + HOUR / 2)


def test_two_builds_at_once(tmp_path: Path) -> None:
    """One of them may be told that it came second; the tables are those of a build."""
    build = Build(tmp_path, VIEW, (EVENTS,))
    append(build, timedelta(0), 0)
    build.advance(BASE)
    append(build, HOUR, 1)
    both = [start(build, HOUR, 1) for _ in range(2)]
    for process in both:
        go(process)
    told = [process.communicate()[1] for process in both]
    assert any(process.returncode == 0 for process in both), told
    assert all(
        p.returncode == 0 or "committed first" in said for p, said in zip(both, told, strict=True)
    )
    build.advance(BASE + HOUR)
    build.check(BASE + HOUR)


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    build = Build(tmp_path, VIEW, (EVENTS,))
    for number in range(3):
        append(build, number * HOUR, number)
    build.advance(BASE + 2 * HOUR)
    assert build.advance(BASE + HOUR).how == "full"
    build.check(BASE + HOUR)
    assert build.advance(BASE + 2 * HOUR).how == "step"
    build.check(BASE + 2 * HOUR)


def test_a_locked_catalog(tmp_path: Path) -> None:
    """A build waits for it, then says so; nothing is half written, and the next one goes on."""
    build = Build(tmp_path, VIEW, (EVENTS,))
    append(build, timedelta(0), 0)
    build.advance(BASE)
    append(build, HOUR, 1)
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("begin exclusive")
    try:
        with pytest.raises(catalog_errors(), match="locked"):
            build.advance(BASE + HOUR)
    finally:
        holder.execute("rollback")
        holder.close()
    build.advance(BASE + HOUR)
    build.check(BASE + HOUR)
