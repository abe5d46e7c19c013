"""What keys, rates, the audit log and the log of served vectors add to a lookup, in process.

    .venv/bin/python benchmarks/access_cost.py [--rounds 15]

One application answers everybody, the other wants a key, holds a team to its rates and keeps an audit
log, others log what they answered; all answer 1 entity x 100 features of 10 views in turns. CPU time a request, medians of the
rounds; no socket is in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.online.project import SERVICE, fill, make_catalog
from feature_specs.access import ViewAccess
from serving.access.api_key import make_key
from serving.access.audit import Audit
from serving.access.gate import Gate
from serving.access.keys_file import KeysFile, write_keys
from serving.access.rate import Rates
from serving.api import App, create_app
from serving.served.served_log import ServedLog

_REQUESTS = 300


async def _ask(app: App, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> float:
    """Microseconds of CPU a request."""
    statuses: set[int] = set()

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.add(message["status"])

    before = time.process_time()
    for _ in range(_REQUESTS):
        await app(
            {"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send
        )
    used = time.process_time() - before
    if statuses != {200}:
        raise RuntimeError(f"answered with {statuses}")
    return used / _REQUESTS * 1e6


async def _compare(sides: dict[str, tuple[App, list[tuple[bytes, bytes]]]], rounds: int) -> None:
    asked: dict[str, Any] = {"entities": {"user_id": [1]}}
    feast = json.dumps(asked | {"feature_service": SERVICE, "full_feature_names": True}).encode()
    shapes = {
        "Feast's shape": ("/get-online-features", feast),
        "/v1 vectors": (f"/v1/services/{SERVICE}/vectors", json.dumps(asked).encode()),
    }
    for shape, (path, body) in shapes.items():
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, (app, headers) in sides.items():
                times[name].append(await _ask(app, path, body, headers))
        floor = statistics.median(next(iter(times.values())))
        for name, found in times.items():
            cpu = statistics.median(found)
            print(f"{shape:16}{name:36}{cpu:8.1f} us {cpu - floor:+8.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="access_cost") as name:
        folder = Path(name)
        catalog = make_catalog(folder, 100)
        fill(catalog)
        catalog = replace(catalog, access={view: ViewAccess() for view in catalog.views})
        key, stored = make_key("ads", datetime.now(UTC))
        write_keys(folder / "keys.json", KeysFile().with_key(stored))
        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        sent = [*headers, (b"authorization", f"Bearer {key}".encode())]
        keys, rates = folder / "keys.json", Rates(1e9, 1e12)
        audit = Audit(str(folder / "audit.jsonl"))
        hundredth, every = ServedLog(0.01, folder / "1"), ServedLog(1.0, folder / "all")
        sides = {
            "everybody": (create_app(catalog), headers),
            "a key": (create_app(catalog, gate=Gate(keys)), sent),
            "a key, rates, audit log": (
                create_app(catalog, gate=Gate(keys, None, rates), audit=audit),
                sent,
            ),
            "1% of answers logged": (create_app(catalog, served=hundredth), headers),
            "all answers logged": (create_app(catalog, served=every), headers),
        }
        asyncio.run(_compare(sides, rounds))
        before = time.thread_time()
        every.flush()  # a thread of the server does so, twice a second
        logged = 2 * rounds * _REQUESTS - every.dropped
        print(f"written later: {(time.thread_time() - before) / logged * 1e6:.1f} us a vector")


if __name__ == "__main__":
    main()
