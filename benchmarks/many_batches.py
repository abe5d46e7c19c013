"""A table after 5,000 micro-batches, beside the same rows freshly written.

    python benchmarks/many_batches.py [--batches 5000] [--rows 20] [--step-every 10] [--maintain-every 250]

Each batch is one commit of appended rows. Every few batches the view steps, and every few hundred all
tables are kept as `forebay maintain` does it (but for the hour that files stay for readers). Printed, in
processor time: the disk of all tables to that of the same rows written in one commit, a scan of the leaf
to one of that, and the last steps to the first. The table must equal F(T). Exits with 1 where a ratio is
missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from benchmarks.incremental_step import MINUTE, START, World
from feature_specs import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.lake import load_table
from lakehouse.local_path import local_path
from lakehouse.maintain.free_files import Ages
from lakehouse.maintain.keep_table import Rules, keep_table
from lakehouse.maintain.maintain_table import all_tables
from lakehouse.maintain.pinned import pins_of_tables
from lakehouse.scan import define_relation, pin
from lakehouse.write_rows import write_query

MOST_DISK, MOST_SCAN, MOST_STEP = 3.0, 1.5, 1.5
#: Steps whose median is taken, at the start and at the end.
STEPS = 40
VIEW = FeatureView(
    "spending",
    "select k, count(*) as n, sum(amount) as s from events "
    "where ts > current_timestamp - interval '7' day group by k",
    ["k"],
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--keys", type=int, default=1_000)
    parser.add_argument("--step-every", type=int, default=10)
    parser.add_argument("--maintain-every", type=int, default=250)
    parser.add_argument(
        "--minutes", type=float, help="stop after so long, and say how many were made"
    )
    options = parser.parse_args()
    until = time.monotonic() + 60 * (options.minutes or float("inf"))
    with tempfile.TemporaryDirectory() as passing:
        world = World(Path(passing), VIEW, options.keys)
        steps: list[float] = []
        commits: list[float] = []
        rounds: list[float] = []
        for number in range(options.batches):
            if time.monotonic() > until:
                break
            commits.append(spent(lambda: append(world, number, options.rows)))  # noqa: B023
            world.at += MINUTE
            if number % options.step_every == 0:
                steps.append(spent(lambda: step(world)))
            if number % options.maintain_every == options.maintain_every - 1:
                rounds.append(spent(lambda: keep(world)))
                print(f"{number + 1:,} batches", file=sys.stderr, flush=True)
        step(world)
        keep(world)
        missed = report(world, steps[1:])
    print(
        f"{len(commits):,} batches; a commit {statistics.median(commits[:200]):.3f} s at first, "
        f"{statistics.median(commits[-200:]):.3f} s at last; a round of maintain "
        f"{statistics.median(rounds):.2f} s (most {max(rounds):.2f})"
    )
    return 1 if missed else 0


def append(world: World, number: int, rows: int) -> None:
    """Commit a batch of the minute that comes."""
    at = [world.at + MINUTE * i / rows for i in range(rows)]
    keys = [(number * 7919 + i * 104_729) % world.keys for i in range(rows)]
    table = pa.table(
        {
            "k": pa.array(keys, pa.int64()),
            "ts": pa.array(at, pa.timestamp("us", "UTC")),
            "amount": pa.array([None] * rows, pa.decimal128(12, 2)).fill_null(number % 97),
        }
    )
    commit_rows(world.lake, "raw.events", table, mode="append")


def step(world: World) -> None:
    define_relation(world.connection, "events", world.pinned())
    world.step()


def keep(world: World) -> None:
    tables = all_tables(world.lake)
    rules = Rules(
        pins_of_tables(tables.values()),
        Ages(timedelta(0), timedelta(0), 2),
        datetime.now(UTC),
        {},
    )
    for name in tables:
        keep_table(world.lake, name, tables, rules)


def report(world: World, steps: list[float]) -> bool:
    """Print the ratios. Returns whether one is missed."""
    names = ("raw.events", world.entry.table, world.entry.history_table)
    disk = scan = fresh_disk = fresh_scan = 0.0
    for name in names:
        table = load_table(world.lake, name)
        types = column_types(table.schema())
        write_query(
            world.connection, world.lake, "fresh.rows", pin(table).sql, types,
            at=START, mode="replace", columns="exact", properties={},
            table=None if name == names[0] else load_table(world.lake, "fresh.rows"),
        )()  # fmt: skip
        fresh = load_table(world.lake, "fresh.rows")
        live = sum(int(e.data_file.file_size_in_bytes) for e in pin(fresh).files)
        held = folder_bytes(Path(local_path(table.location())))
        print(f"{name}: {held / 1e6:.2f} MB, freshly written {live / 1e6:.2f} MB, "
              f"{len(pin(table).files)} files, {len(table.snapshots())} snapshots")  # fmt: skip
        disk, fresh_disk = disk + held, fresh_disk + live
        if name == names[0]:
            scan, fresh_scan = (scan_time(world, name) for name in (name, "fresh.rows"))
    first, last = statistics.median(steps[:STEPS]), statistics.median(steps[-STEPS:])
    define_relation(world.connection, "events", world.pinned())
    world.query()
    wrong = world.differing()
    ratios = (disk / fresh_disk, scan / fresh_scan, last / first)
    print(f"disk to live data {ratios[0]:.2f} (at most {MOST_DISK})")
    print(
        f"scan {scan:.4f} s, freshly written {fresh_scan:.4f} s: {ratios[1]:.2f} (at most {MOST_SCAN})"
    )
    print(
        f"step {first:.3f} s at first, {last:.3f} s at last: {ratios[2]:.2f} (at most {MOST_STEP})"
    )
    print(f"rows that differ from F(T): {wrong}")
    limits = (MOST_DISK, MOST_SCAN, MOST_STEP)
    return bool(wrong) or any(r > most for r, most in zip(ratios, limits, strict=True))


def scan_time(world: World, name: str) -> float:
    """The least of some scans, planning included, as a reader opens the table."""

    def scan() -> None:
        table = pin(load_table(world.lake, name))
        world.connection.execute(
            f"select sum(amount), count(*), max(ts) from ({table.sql})"
        ).fetchall()

    return min(spent(scan) for _ in range(15))


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def spent(call: Callable[[], object]) -> float:
    """Processor seconds that a call takes."""
    before = time.process_time()
    call()
    return time.process_time() - before


if __name__ == "__main__":
    sys.exit(main())
