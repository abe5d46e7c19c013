"""Lookups of 100 features of 10 views in a CQL store, beside a bare loop over the same driver.

    python benchmarks/cql_lookup.py [--seconds 3] [--runs 3]

Starts a Cassandra (JDK 17 and Maven), loads 5,000 entities and reads random ones with 1, 16 and 64
on the way: by the store's ``read`` over each of the two drivers, and by the same prepared statement
sent and awaited over them with nothing around it. The store keeps nothing (``cache_mb=0``), but on one side everything. Each side is a process of its own, in turns, once
the server's compiler is warm. Rows a second of the first load and of changes stand beside those of the
driver's own ``execute_concurrent_with_args``. Exits with 1 where the store's lookups are below 0.9 of
the bare loop over scylla-driver, by CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ENTITIES, VIEWS, FEATURES = 5_000, 10, 10
IN_FLIGHT = (1, 16, 64)
REQUIRED = 0.9
ROW = b"\0".join([b"", *[b"0.123456789"] * FEATURES])
SELECT = "select feature_view, slot, mark, row from forebay_rows where entities = ? and key = ?"

Read = Callable[[bytes], Awaitable[int]]


async def measure(read: Read, in_flight: int, seconds: float) -> dict[str, float]:
    """Random lookups: a second, CPU of this process a lookup, and their times."""
    draw = random.Random(in_flight)
    taken: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()

    async def one_after_another() -> None:
        while time.perf_counter() - started < seconds:
            key, sent = b"%d" % draw.randrange(ENTITIES), time.perf_counter()
            if await read(key) < VIEWS:
                raise SystemExit(f"entity {key!r} has not {VIEWS} rows")
            taken.append(time.perf_counter() - sent)

    await asyncio.gather(*[one_after_another() for _ in range(in_flight)])
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    cuts = statistics.quantiles(taken, n=100)
    return {
        "lookups": len(taken),
        "rate": len(taken) / wall,
        "cpu_us": cpu / len(taken) * 1e6,
        "p50_ms": cuts[49] * 1e3,
        "p99_ms": cuts[98] * 1e3,
    }


def read_by_store(uri: str, reader: str = "acsylla", cache_mb: int = 0) -> Read:
    from serving.stores import StoredView, open_store

    store = open_store(f"{uri}&reader={reader}&cache_mb={cache_mb}", readonly=True)
    views = [StoredView(f"view_{n}", ("user_id",)) for n in range(VIEWS)]

    async def read(key: bytes) -> int:
        found = await store.read({view: [key] for view in views})
        return sum(found[view.name].rows[0] is not None for view in views)

    return read


def read_by_driver(uri: str) -> Read:
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
    from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
    from cassandra.query import tuple_factory

    url = urlsplit(uri)
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy("datacenter1"))
    profile = ExecutionProfile(load_balancing_policy=policy, row_factory=tuple_factory)
    cluster = Cluster(
        [url.hostname],
        port=url.port,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        compression=False,
    )
    session = cluster.connect(url.path[1:])
    prepared = session.prepare(SELECT)
    prepared.fetch_size = None

    async def read(key: bytes) -> int:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Any]] = loop.create_future()
        session.execute_async(prepared.bind(("user_id", key))).add_callbacks(
            lambda rows: loop.call_soon_threadsafe(done.set_result, rows),
            lambda error: loop.call_soon_threadsafe(done.set_exception, error),
        )
        return len(await done)

    return read


def read_by_acsylla(uri: str) -> Read:
    import acsylla

    url = urlsplit(uri)
    opened: dict[str, Any] = {}

    async def read(key: bytes) -> int:
        if not opened:
            cluster = acsylla.create_cluster([url.hostname], port=url.port, log_level="critical")
            opened["session"] = await cluster.create_session(keyspace=url.path[1:])
            opened["prepared"] = await opened["session"].create_prepared(SELECT)
        statement = opened["prepared"].bind()
        statement.bind_list(["user_id", key])
        result = await opened["session"].execute(statement)
        return len([tuple(row.as_list()) for row in result])

    return read


SIDES: dict[str, Callable[[str], Read]] = {
    "store": read_by_store,
    "store, all kept": partial(read_by_store, cache_mb=32),
    "store, scylla-driver": partial(read_by_store, reader="scylla-driver"),
    "scylla-driver": read_by_driver,
    "acsylla": read_by_acsylla,
}


def run_side(side: str, uri: str, seconds: float) -> None:
    """In a process of its own: print the measures by number on the way."""

    async def run() -> dict[int, dict[str, float]]:
        read = SIDES[side](uri)
        await measure(read, 16, 1.0)  # connections and caches
        return {n: await measure(read, n, seconds) for n in IN_FLIGHT}

    print(json.dumps(asyncio.run(run())))


def load(uri: str) -> None:
    """Fill the store, and tell rows a second beside the driver's own way."""
    from cassandra.concurrent import execute_concurrent_with_args

    from serving.stores import StoredView
    from serving.stores.cql.address import parse_address
    from serving.stores.cql.connection import WRITE
    from serving.stores.cql.schema import PUT
    from serving.stores.cql.store import CqlStore

    store = CqlStore(parse_address(uri), readonly=False)
    keys = [b"%d" % n for n in range(ENTITIES)]
    started, cpu = time.perf_counter(), time.process_time()
    for n in range(VIEWS):
        view = StoredView(f"view_{n}", ("user_id",))
        store.write(view, ((key, ROW) for key in keys), (), b"state", replace=True)
    tell("first load", VIEWS * ENTITIES, started, cpu)
    put = store._connection.prepare(PUT)
    values = [("floor", key, "floor", 0, 2, ROW, 1) for key in keys]
    started, cpu = time.perf_counter(), time.process_time()
    session = store._connection.session
    execute_concurrent_with_args(session, put, values, concurrency=128, execution_profile=WRITE)
    tell("execute_concurrent_with_args", ENTITIES, started, cpu)
    for n in range(5):
        # The first of them meet a server whose compiler has not seen their reads yet.
        started, cpu = time.perf_counter(), time.process_time()
        changed = [(key, ROW) for key in keys[n::4]]
        store.write(StoredView("view_0", ("user_id",)), changed, (), b"s", replace=False)
        tell("changes", len(changed), started, cpu)
    store.close()


def tell(what: str, rows: int, started: float, cpu: float) -> None:
    rate = rows / (time.perf_counter() - started)
    each = (time.process_time() - cpu) / rows * 1e6
    print(f"{what:30} {rate:8.0f} rows/s  {each:6.0f} us of the client's CPU a row", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "URI"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side, uri = options.side
        run_side(side, uri, options.seconds)
        return 0
    from tests.servers.cassandra import cassandra_server

    measured: dict[str, list[dict[str, dict[str, float]]]] = {side: [] for side in SIDES}
    with cassandra_server(large=True) as server:
        uri = server.create_keyspace("lookups").replace("state_seconds=0.2", "state_seconds=1")
        load(uri)
        warm = [sys.executable, __file__, "--side", "scylla-driver", uri, "--seconds", "4"]
        subprocess.run(warm, stdout=subprocess.DEVNULL, check=True)
        for number in range(options.runs):
            sides = list(SIDES)
            for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
                command = [
                    sys.executable,
                    __file__,
                    "--side",
                    side,
                    uri,
                    "--seconds",
                    str(options.seconds),
                ]
                before = cpu_seconds(server.pid)
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                spent = cpu_seconds(server.pid) - before
                measured[side].append(json.loads(done.stdout))
                lookups = sum(m["lookups"] for m in measured[side][-1].values())
                print(
                    f"{side}: {spent / lookups * 1e6:.0f} us of the server's CPU a lookup",
                    flush=True,
                )
    return report(measured)


def cpu_seconds(pid: int) -> float:
    """What a process has used of the CPU so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(measured: dict[str, list[dict[str, dict[str, float]]]]) -> int:
    """Print medians, and the ratios that are required."""
    print(
        f"\n{'':20} {'on the way':>10} {'lookups/s':>10} {'CPU us':>8} {'p50 ms':>8} {'p99 ms':>8}"
    )
    cpu: dict[str, float] = {}
    for n in IN_FLIGHT:
        for side, runs in measured.items():
            m = {k: statistics.median(run[str(n)][k] for run in runs) for k in runs[0][str(n)]}
            print(
                f"{side:20} {n:10} {m['rate']:10.0f} {m['cpu_us']:8.0f} "
                f"{m['p50_ms']:8.2f} {m['p99_ms']:8.2f}"
            )
            cpu[side] = m["cpu_us"]
    ratio = cpu["scylla-driver"] / cpu["store"]
    print(f"\nby CPU at {IN_FLIGHT[-1]} on the way")
    print(f"store over acsylla: {ratio:.2f} of bare scylla-driver, required {REQUIRED}")
    print(f"store over acsylla: {cpu['acsylla'] / cpu['store']:.2f} of bare acsylla")
    bare = cpu["scylla-driver"] / cpu["store, scylla-driver"]
    print(f"store over scylla-driver: {bare:.2f} of bare scylla-driver")
    return 0 if ratio >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
