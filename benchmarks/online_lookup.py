"""Lookups of 100 features of 10 views: forebay's two endpoints beside the least that a Python server
can do, and beside Feast.

    .venv/bin/python benchmarks/online_lookup.py [--feast-python FEAST_VENV/bin/python] [--seconds 2]

Servers are pinned to one core and the client to another; sides take turns, and medians of three rounds
are shown. The first figure, CPU a request of the server's process, holds on a busy machine too; rates
and percentiles need both cores free. "Bare" is an ASGI application on uvloop and httptools that answers
the same bytes. Then latency under a given rate (open loop), under more than the server can do, and with workers: the
second shares the client's core.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.online import sides
from benchmarks.online.project import SERVICE, fill, make_catalog
from benchmarks.online.sides import Side
from serving.memory import keep_freed_memory

SERVER_CPU, CLIENT_CPU = 0, 1
ROUNDS = 3
FEAST_PATH, VECTORS_PATH = "/get-online-features", f"/v1/services/{SERVICE}/vectors"
MEASURES = ("cpu", "rps", "p50", "p99", "p99.9")


def body(count: int, *, feast: bool) -> bytes:
    """A request for so many entities."""
    asked: dict[str, object] = {"entities": {"user_id": list(range(1, count + 1))}}
    return json.dumps(
        asked | ({"feature_service": SERVICE, "full_feature_names": True} if feast else {})
    ).encode()


def in_turns(compared: list[Side], seconds: float) -> dict[str, dict[str, float]]:
    """Medians of each side's measures."""
    for side in compared:
        side.load(CLIENT_CPU, 0.5)
    rounds = [
        {side.name: side.load(CLIENT_CPU, seconds) for side in compared} for _ in range(ROUNDS)
    ]
    return {
        side.name: {m: statistics.median(r[side.name][m] for r in rounds) for m in MEASURES}
        for side in compared
    }


def show(title: str, found: dict[str, dict[str, float]], values: int) -> None:
    """Print a table; ratios are to the bare side that is listed before."""
    print(f"\n{title}")
    print(
        f"{'':36}{'CPU/request':>12}{'x bare':>8}{'rps':>9}{'of bare':>9}{'values/s':>11}"
        f"{'p50 ms':>8}{'p99 ms':>8}{'p99.9':>8}"
    )
    floor = None
    for name, m in found.items():
        if name.startswith("bare"):
            floor = m
        against = f"{'':8}" if floor is None else f"{m['cpu'] / floor['cpu']:8.2f}"
        share = f"{'':9}" if floor is None else f"{m['rps'] / floor['rps']:9.2f}"
        rate = f"{values / m['cpu']:9.2f} M"
        print(
            f"{name:36}{m['cpu']:9.0f} us{against}{m['rps']:9.0f}{share}{rate}"
            f"{m['p50']:8.2f}{m['p99']:8.2f}{m['p99.9']:8.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--feast-python", type=Path, help="the Python of a venv that holds Feast")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    options = parser.parse_args()
    with ExitStack() as stack:
        run(stack, options.feast_python, options.seconds)


def run(stack: ExitStack, feast_python: Path | None, seconds: float) -> None:
    """Start all servers, and load them in turns."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="online_lookup")))
    small, large = make_catalog(folder, 100), make_catalog(folder, 10_000)
    fill(small)
    servers = {
        n: stack.enter_context(sides.forebay(catalog, folder, str(SERVER_CPU)))
        for n, catalog in ((100, small), (10_000, large))
    }
    feast = None
    if feast_python is not None:
        feast = stack.enter_context(sides.feast(feast_python, folder / "feast", SERVER_CPU))
    asked = {
        count: {
            "forebay, Feast's shape": Side("", servers[100], FEAST_PATH, body(count, feast=True)),
            "forebay, /v1 vectors": Side("", servers[100], VECTORS_PATH, body(count, feast=False)),
        }
        for count in (1, 100)
    }
    bodies = {
        f"{name.rpartition(' ')[2]}_{count}": side.ask()
        for count, by_name in asked.items()
        for name, side in by_name.items()
    }
    floor = stack.enter_context(sides.bare(bodies, folder / "bare", SERVER_CPU))
    peaks: dict[str, float] = {}
    for count, by_name in asked.items():
        compared = []
        for name, side in by_name.items():
            path = f"/{name.rpartition(' ')[2]}_{count}"
            compared.append(Side(f"bare, {len(bodies[path[1:]])} bytes", floor, path, side.body))
            compared.append(Side(name, side.server, side.path, side.body))
            if count == 1:
                other = f"{name}, of 10,000 features"
                compared.append(Side(other, servers[10_000], side.path, side.body))
        if feast is not None:
            compared.append(Side("Feast 0.67, Redis", feast, FEAST_PATH, body(count, feast=True)))
        found = in_turns(compared, seconds)
        plural = "entity" if count == 1 else "entities"
        show(f"{count} {plural} x 100 features, 16 connections", found, count * 100)
        if count == 1:
            peaks = {name: found[name]["rps"] for name in by_name}
    print("\nOpen loop, 1 entity x 100 features")
    for name, peak in peaks.items():
        for share in (0.5, 0.7):
            m = asked[1][name].load(CLIENT_CPU, 2 * seconds, 64, share * peak)
            print(
                f"{name:36}{share:4.0%} of peak, {m['rps']:6.0f} rps"
                f"   p50 {m['p50']:.2f} ms   p99 {m['p99']:.2f} ms   p99.9 {m['p99.9']:.2f} ms",
                flush=True,
            )
    print("\nOverload, 1 entity x 100 features, 2,000 connections")
    for name, peak in peaks.items():
        for share in (1.5, 2.0):
            m = asked[1][name].load(CLIENT_CPU, 2 * seconds, 2_000, share * peak, busy=True)
            print(
                f"{name:36}{share:4.0%} of peak, {m['rps']:6.0f} answers a second"
                f"   p50 {m['p50']:.0f} ms   p99 {m['p99']:.0f} ms;"
                f" refused {m['refused']:6.0f} a second, p99 {m['refused_p99']:.0f} ms",
                flush=True,
            )
    print("\nWorkers, 100 entities x 100 features on Feast's shape, 32 connections")
    for count, cpus in ((1, f"{SERVER_CPU}"), (2, f"{SERVER_CPU},{CLIENT_CPU}")):
        server = stack.enter_context(sides.forebay(small, folder, cpus, count))
        side = Side("", server, FEAST_PATH, body(100, feast=True))
        side.load(CLIENT_CPU, 0.5)
        m = side.load(CLIENT_CPU, seconds, 32)
        print(
            f"{count} on {count} of the cores: {m['rps']:6.0f} rps, {m['cpu']:6.0f} us CPU a request"
        )


if __name__ == "__main__":
    keep_freed_memory()
    main()
