"""Compile a dbt project of 500 views x 20 features on one core, cold and when nothing changed.

    python benchmarks/compile_time.py [--views 500] [--keep FOLDER]

The rival is dbt itself: its parse and compile of the same project, in the same process, are timed
apart and shown beside what `forebay compile` adds to them. Exits with 1 where a number is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from forebay.compilation.compile_project import compile_project
from forebay.dbt_project.project import Project
from lakehouse.commit import commit_rows
from lakehouse.lake import open_lake

COLD, WARM, GIGABYTES = 30.0, 2.0, 1.0
ROOT = Path(__file__).parent.parent
WINDOWS = (1, 7)
PROJECT = """
name: many
version: "1.0.0"
profile: many
model-paths: [models]
macro-paths: [macros, target/forebay/macros]
on-run-start: "{{ forebay_ready() }}"
flags: {send_anonymous_usage_stats: false}
models: {many: {+materialized: feature_view}}
"""
PROFILE = """
many:
  target: dev
  outputs:
    dev:
      type: duckdb
      path: target/many.duckdb
      settings: {TimeZone: UTC}
      plugins:
        - module: forebay.dbt_plugin
          alias: forebay
          config:
            name: lake
            type: sql
            uri: sqlite:///lake/catalog.db
            warehouse: lake/warehouse
            online: lmdb://online.lmdb
"""
SOURCES = """
sources:
  - name: raw
    schema: raw
    tables:
      - name: events
        config: {event_time: ts, loaded_at_field: loaded}
      - name: clicks
        config: {event_time: ts}
"""
SCHEMA = pa.schema(
    [
        ("k", pa.string()), ("ts", pa.timestamp("us", "UTC")), ("loaded", pa.timestamp("us", "UTC")),
        ("x", pa.int32()), ("f", pa.float64()), ("d", pa.decimal128(12, 2)),
    ]
)  # fmt: skip


def windows_of(number: int) -> list[tuple[str, str]]:
    """18 aggregates over three windows, and two of recency."""
    items = []
    for days in (*WINDOWS, 30 + number % 7):
        test = f"filter (where ts > current_timestamp - interval '{days}' day)"
        items += [
            (f"n{days}", f"count(*) {test}"), (f"s{days}", f"sum(x) {test}"),
            (f"a{days}", f"avg(f) {test}"), (f"m{days}", f"max(x) {test}"),
            (f"d{days}", f"sum(d) {test}"), (f"c{days}", f"count(f) {test}"),
        ]  # fmt: skip
    return [*items, ("last_ts", "max(ts)"), ("since", "epoch(current_timestamp - max(ts))")]


def view_of(number: int) -> tuple[str, list[str], str]:
    """SQL, feature names and the feature_view options: windows over late rows, over plain rows, or
    a history, by turns."""
    source = "events" if number % 3 == 0 else "clicks"
    table = "{{ source('raw', '" + source + "') }}"
    if number % 3 == 2:
        items = [(f"h{i}", f"x * {i + number} + d") for i in range(20)]
        listed = ", ".join(f"{sql} as {name}" for name, sql in items)
        return f"select k, ts, {listed} from {table}", [n for n, _ in items], "event_time: ts, "
    items = windows_of(number)
    listed = ", ".join(f"{sql} as {name}" for name, sql in items)
    where = f"ts > current_timestamp - interval '{60 + number}' day"
    return f"select k, {listed} from {table} where {where} group by k", [n for n, _ in items], ""


def make_project(root: Path, views: int) -> Project:
    """A project of that many views, each with 20 documented features, over two empty tables."""
    for folder in ("models", "profiles", "macros"):
        (root / folder).mkdir(parents=True)
    for path in (ROOT / "macros").glob("*.sql"):
        shutil.copy(path, root / "macros" / path.name)
    (root / "dbt_project.yml").write_text(PROJECT)
    (root / "profiles" / "profiles.yml").write_text(PROFILE)
    (root / "models" / "sources.yml").write_text(SOURCES)
    for number in range(views):
        sql, features, config = view_of(number)
        (root / "models" / f"view_{number}.sql").write_text(sql)
        columns = "".join(
            f"\n      - {{name: {name}, description: Feature {name} of view {number}.}}"
            for name in features
        )
        (root / "models" / f"view_{number}.yml").write_text(
            f"models:\n  - name: view_{number}\n    description: View {number}.\n    config:\n"
            f"      {{{config}meta: {{feature_view: {{entities: [k], owner: someone}}}}}}\n"
            f"    columns:{columns}\n"
        )
    project = Project(root)
    lake = open_lake(project.lake)
    for table in ("raw.events", "raw.clicks"):
        commit_rows(lake, table, SCHEMA.empty_table(), mode="append")
    return project


class Timed(Project):
    """A project that knows how long dbt itself ran."""

    spent = 0.0

    def dbt(self, *given: Any, **named: Any) -> Any:
        started = time.process_time()
        try:
            return super().dbt(*given, **named)
        finally:
            Timed.spent += time.process_time() - started


def timed(root: Path) -> tuple[float, float]:
    """Processor seconds of dbt, and of forebay beyond them, in one compilation."""
    Timed.spent, started = 0.0, time.process_time()
    compile_project(Timed(root))
    return Timed.spent, time.process_time() - started - Timed.spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=500)
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    root = Path(tempfile.mkdtemp(prefix="forebay-compile-"))
    try:
        make_project(root, options.views)
        runs = [("cold", *timed(root), COLD), ("nothing changed", *timed(root), WARM)]
    finally:
        shutil.rmtree(root)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    share = options.views / 500
    print(f"{options.views} views x 20 features, processor seconds of one core")
    print(f"  {'':16}{'dbt alone':>12}{'forebay adds':>14}{'at most':>10}")
    for name, dbt, ours, most in runs:
        print(f"  {name:16}{dbt:12.1f}{ours:14.1f}{most * share:10.1f}")
    print(f"  {'memory, GB':16}{'':12}{memory:14.2f}{GIGABYTES:10.1f}")
    met = all(ours <= most * share for _, _, ours, most in runs) and memory <= GIGABYTES
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
