"""Trailing windows: 10M events x 1M spine rows x 3 windows x (count, sum), beside sorting the events.

    python benchmarks/trailing_windows.py [--events 10000000] [--spine 1000000] [--runs 3]

For events of 25, 100 and 1,000 a key and for Zipf keys (the hottest holds a tenth), as decimals, as
doubles and, with arrival up to days later, as decimals: the compiled point-in-time statement beside
``create table as select ... order by key, time`` of the same table, in turns, under a memory limit
of 2 GB. Values are held to a range join on a sample of keys. Exits with 1 where a ratio is missed.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from feature_specs import FeatureView, Leaf, compile_view

TZ = "TIMESTAMP WITH TIME ZONE"
DAYS = (1, 7, 30)
SHAPES = ("25", "100", "1000", "zipf")
KINDS = ("decimal", "double", "arrival")
#: Ratio to the sort, of doubles to decimals, of arrival to decimals without.
REQUIRED = {"sort": 5.0, "double": 2.0, "arrival": 2.5}
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Seconds:
    """One run."""

    wall: float
    cpu: float


def make_events(connection: duckdb.DuckDBPyConnection, shape: str, events: int, spine: int) -> None:
    """Tables events_<kind> and spine, in random order, over one year."""
    if shape == "zipf":
        # A tenth of the rows in one key, the rest by a power law over a hundred thousand.
        key = "case when r < 0.1 then 0 else 1 + floor(100000 * pow(r, 4))::bigint end"
    else:
        key = f"floor(r * {max(1, events // int(shape))})::bigint"
    year = 365 * 86_400_000_000
    moment = f"make_timestamptz(1704067200000000 + (random() * {year})::bigint)"
    connection.execute("select setseed(0.42)")
    connection.execute(
        f"create or replace table base as select {key} as k, {moment} as ts, "
        "(random() * 20000 - 5000)::bigint as cents, random() as late "
        f"from (select random() as r from range({events}))"
    )
    connection.execute(
        "create or replace table events_decimal as select k, ts, "
        "cast(cents / 100 as decimal(12, 2)) as amount from base"
    )
    connection.execute(
        "create or replace table events_double as select k, ts, cents / 100 as amount from base"
    )
    delay = (
        "case when late < 0.9 then late * 66 else -129600 * ln(1.0000001 - (late - 0.9) * 10) end"
    )
    connection.execute(
        "create or replace table events_arrival as select k, ts, "
        f"ts + to_microseconds(cast({delay} * 1000000 as bigint)) as loaded, "
        "cast(cents / 100 as decimal(12, 2)) as amount from base"
    )
    connection.execute(
        f"create or replace table spine as select row_number() over () as id, {key} as k, "
        f"{moment} as ts from (select random() as r from range({spine}))"
    )
    connection.execute("drop table base")


def statement(kind: str, per_key: float | None = None) -> str:
    """The point-in-time SQL that forebay compiles."""
    number = "DOUBLE" if kind == "double" else "DECIMAL(12,2)"
    columns = {"k": "BIGINT", "ts": TZ, "amount": number}
    columns |= {"loaded": TZ} if kind == "arrival" else {}
    leaf = Leaf(
        f"events_{kind}",
        columns,
        event_time="ts",
        loaded_at="loaded" if kind == "arrival" else None,
        rows_per_key=per_key,
    )
    items = []
    for days in DAYS:
        test = f"filter (where ts > current_timestamp - interval '{days}' day)"
        items += [f"count(*) {test} as n{days}", f"sum(amount) {test} as s{days}"]
    sql = (
        f"select k, {', '.join(items)} from events_{kind} "
        f"where ts > current_timestamp - interval '{DAYS[-1]}' day group by k"
    )
    return compile_view(FeatureView("w", sql, ["k"]), [leaf]).point_in_time()


def range_join(kind: str, keys: str) -> str:
    """The same by hand, for some keys."""
    seen = "greatest(e.ts, e.loaded)" if kind == "arrival" else "e.ts"
    items = []
    for days in DAYS:
        test = f"e.ts > s.ts - interval '{days}' day"
        items += [
            f"count(e.ts) filter (where {test}) as n{days}",
            f"sum(e.amount) filter (where {test}) as s{days}",
            f"sum(abs(e.amount)) filter (where {test}) as a{days}",
        ]
    return (
        f"select s.id, {', '.join(items)} from spine s join events_{kind} e on e.k = s.k "
        f"and {seen} <= s.ts and e.ts > s.ts - interval '{DAYS[-1]}' day "
        f"where s.k in ({keys}) group by s.id"
    )


def timed(run: Callable[[str], object], sql: str) -> Seconds:
    """Wall and processor seconds of one statement."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run(sql)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(time.perf_counter() - started, cpu)


def count_differences(connection: duckdb.DuckDBPyConnection, kind: str) -> int:
    """Spine rows of a sample of keys whose values differ from the range join's."""
    keys = "select k from spine where k > 0 group by k order by hash(k) limit 40"
    tests = []
    for days in DAYS:
        tests.append(f"coalesce(o.n{days}, 0) <> coalesce(t.n{days}, 0)")
        far = f"abs(o.s{days} - t.s{days}) > {TOLERANCE} * t.a{days}"
        tests.append(f"(o.s{days} is null) <> (t.s{days} is null) or coalesce({far}, false)")
    row = connection.execute(
        f"select count(*) from out o left join ({range_join(kind, keys)}) t using (id) "
        f"where o.k in ({keys}) and ({' or '.join(tests)})"
    ).fetchone()
    assert row is not None
    return int(row[0])


def measure(
    connection: duckdb.DuckDBPyConnection, shape: str, kinds: list[str], runs: int, per_key: bool
) -> bool:
    """Print the table of one shape; whether every ratio is kept."""
    sort = "create or replace temp table out as select * from events_decimal order by k, ts"
    sizes = None if not per_key or shape == "zipf" else float(shape)
    texts = {kind: statement(kind, sizes) for kind in kinds}
    seen: dict[str, list[Seconds]] = {name: [] for name in ["sort", *kinds]}
    wrong: dict[str, int] = {}
    for _ in range(runs):
        seen["sort"].append(timed(connection.execute, sort))
        for kind, sql in texts.items():
            create = f"create or replace temp table out as {sql}"
            seen[kind].append(timed(connection.execute, create))
            wrong[kind] = count_differences(connection, kind)
    wall = {n: statistics.median(s.wall for s in found) for n, found in seen.items()}
    cpu = {n: statistics.median(s.cpu for s in found) for n, found in seen.items()}
    kept = True
    for name in seen:
        base = name if name in ("sort", "decimal") else "decimal"
        checks = [("sort", REQUIRED["sort"])] if name in ("decimal", "double") else []
        checks += [("decimal", REQUIRED[name])] if base == "decimal" and name != "decimal" else []
        told = ""
        for against, limit in checks:
            if against not in wall or (shape == "25" and against == "sort"):
                continue
            ratio = wall[name] / wall[against]
            kept = kept and ratio <= limit
            told += f"  {ratio:5.2f}x {against} (at most {limit})"
        values = f"  {wrong[name]} rows differ" if wrong.get(name) else ""
        kept = kept and not wrong.get(name)
        print(
            f"{shape:>5} a key  {name:8} wall {wall[name]:7.2f}  cpu {cpu[name]:7.2f}{told}{values}"
        )
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--spine", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--without-sizes", action="store_true", help="keep rows per key a secret")
    options = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        for shape in options.shapes.split(","):
            connection = duckdb.connect(str(Path(folder) / f"{shape}.duckdb"))
            connection.execute("set memory_limit = '2GB'; set timezone = 'UTC'")
            connection.execute("set preserve_insertion_order = false")
            make_events(connection, shape, options.events, options.spine)
            kinds = options.kinds.split(",")
            kept &= measure(connection, shape, kinds, options.runs, not options.without_sizes)
            connection.close()
            (Path(folder) / f"{shape}.duckdb").unlink()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
