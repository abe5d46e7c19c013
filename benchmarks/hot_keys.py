"""Hot keys on a CQL store: lookups whose keys are drawn by Zipf 1.2, beside uniform ones.

    python benchmarks/hot_keys.py [--seconds 5]

Starts a Cassandra of one node (JDK 17 and Maven) that takes R = 1,500 requests a second and lets those
beyond wait, as its own limit does it: what this machine takes besides would measure the client. 5,000
entities of 100 features are loaded. Then keys come at a rate, whatever the answers take (open loop;
times count from when a key was due), while another process commits a change every second, which lets
go of all that readers keep:

- uniform, at half of R, as on a node of a cluster that is well filled
- Zipf 1.2 at twice R, with a cache that holds an eighth of the entities, and with none

Exits with 1 where the p99 of Zipf with the cache is more than twice that of uniform.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.cql_lookup import ENTITIES, ROW, VIEWS, load, read_by_store
from feature_specs.errors import ForebayError

EXPONENT = 1.2
#: Requests a second of the node.
HELD = 1_500
#: Megabytes that hold some 640 entities.
CACHE_MB = 1
REQUIRED = 2.0


def uniform(draw: random.Random) -> Iterator[bytes]:
    while True:
        yield b"%d" % draw.randrange(ENTITIES)


def zipf(draw: random.Random) -> Iterator[bytes]:
    names = list(range(ENTITIES))
    draw.shuffle(names)
    weights = list(itertools.accumulate((n + 1) ** -EXPONENT for n in range(ENTITIES)))
    while True:
        for name in draw.choices(names, cum_weights=weights, k=1_000):
            yield b"%d" % name


KEYS: dict[str, Callable[[random.Random], Iterator[bytes]]] = {"uniform": uniform, "zipf": zipf}


async def at_rate(
    read: Callable[[bytes], Any], keys: Iterator[bytes], rate: float, seconds: float
) -> dict[str, float]:
    """Lookups that begin when they are due."""
    taken: list[float] = []
    running: set[asyncio.Task[None]] = set()

    failed: list[str] = []

    async def one(key: bytes, due: float) -> None:
        try:
            await read(key)
        except ForebayError as error:
            failed.append(str(error))
        taken.append(time.perf_counter() - due)

    cpu = time.process_time()
    started = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = started + number / rate
        while time.perf_counter() < due:
            await asyncio.sleep(0.001 if due - time.perf_counter() > 0.002 else 0)
        task = asyncio.create_task(one(next(keys), due))
        running.add(task)
        task.add_done_callback(running.discard)
        if number % 16 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*running)
    if failed:
        raise SystemExit(f"{len(failed)} lookups failed: {failed[0]}")
    taken.sort()
    at = {f"p{p}_ms": taken[int(len(taken) * p / 100)] * 1e3 for p in (50, 99)}
    wall = time.perf_counter() - started
    return {
        "rate": len(taken) / wall,
        "cpu_us": (time.process_time() - cpu) / len(taken) * 1e6,
        **at,
    }


def run_side(uri: str, keys: str, rate: float, cache: int, seconds: float) -> None:
    """In a process of its own: print the measures."""

    async def run() -> dict[str, float]:
        read = read_by_store(uri, cache_mb=cache)
        await read(b"0")
        drawn = KEYS[keys](random.Random(7))
        await at_rate(read, drawn, rate, 1.0)
        return await at_rate(read, drawn, rate, seconds)

    print(json.dumps(asyncio.run(run())))


def commit_changes(uri: str) -> None:
    """A change of ten rows every second, until killed."""
    from serving.stores import StoredView, open_store

    store = open_store(uri)
    draw = random.Random(1)
    while True:
        rows = [(b"%d" % draw.randrange(ENTITIES), ROW) for _ in range(10)]
        view = StoredView(f"view_{draw.randrange(VIEWS)}", ("user_id",))
        store.write(view, rows, (), b"state", replace=False)
        time.sleep(1)


def side(uri: str, keys: str, rate: float, cache: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", uri, keys, str(rate), str(cache)]
    done = subprocess.run([*command, "--seconds", str(seconds)], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(uri: str, seconds: float) -> int:
    """Measure and print all sides; whether the required ratio is missed."""
    sides = {
        "uniform, R/2": ("uniform", HELD / 2, CACHE_MB),
        "Zipf 1.2, 2R": ("zipf", HELD * 2, CACHE_MB),
        "Zipf 1.2, 2R, no cache": ("zipf", HELD * 2, 0),
    }
    print(f"{'':24} {'asked/s':>8} {'done/s':>8} {'CPU us':>8} {'p50 ms':>8} {'p99 ms':>8}")
    writer = subprocess.Popen([sys.executable, __file__, "--commit", uri])
    try:
        p99 = {}
        for name, (keys, rate, cache) in sides.items():
            m = side(uri, keys, rate, cache, seconds)
            p99[name] = m["p99_ms"]
            print(
                f"{name:24} {rate:8.0f} {m['rate']:8.0f} {m['cpu_us']:8.0f} "
                f"{m['p50_ms']:8.2f} {m['p99_ms']:8.2f}",
                flush=True,
            )
    finally:
        writer.kill()
        writer.wait()
    ratio = p99["Zipf 1.2, 2R"] / p99["uniform, R/2"]
    print(f"\np99 of Zipf is {ratio:.2f} times that of uniform, {REQUIRED} allowed")
    return 0 if ratio <= REQUIRED else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--commit", metavar="URI", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        uri, keys, rate, cache = options.side
        run_side(uri, keys, float(rate), int(cache), options.seconds)
        return 0
    if options.commit:
        commit_changes(options.commit)
    from tests.servers.cassandra import cassandra_server

    with cassandra_server(large=True, requests=HELD) as server:
        uri = server.create_keyspace("lookups").replace("state_seconds=0.2", "state_seconds=1")
        load(uri)
        side(uri, "uniform", HELD / 2, 0, 4)  # its compiler meets the reads
        return compare(uri, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
