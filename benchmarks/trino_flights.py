"""The flights' training set on a real Trino and on DuckDB: seconds of each, and values compared.

    python -m benchmarks.trino_flights [--rows 336776]

Makes the example project on a lake whose catalog is in PostgreSQL, from which a Trino that the tests'
recipe starts reads it too, and runs `forebay train` for all flights on each engine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import yaml

from forebay.dbt_project.project import find_project
from lakehouse.lake import load_table, open_lake
from lakehouse.scan import pin
from tests.forebay.engines.conftest import postgres_lake
from tests.servers.postgres import postgres_server
from tests.servers.trino import trino_server

SERVICE, TOLERANCE = "arrival_delay_v1", "1e-9"
_SPINE = (
    "select flight_id, origin, dest, carrier, tailnum, scheduled_at as event_timestamp "
    "from ({flights}) limit {rows}"
)


def _run(root: Path, *words: str) -> float:
    """Seconds of a command. It must succeed."""
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "forebay", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - before


def _share_lake(root: Path, lake: Mapping[str, str], port: int, catalog: str) -> None:
    """Let the project's profile name the lake, and the Trino over it."""
    file = root / "profiles" / "profiles.yml"
    profiles: dict[str, Any] = yaml.safe_load(file.read_text())
    (profile,) = (p for p in profiles.values() if isinstance(p, dict) and "outputs" in p)
    plugin = profile["outputs"][profile["target"]]["plugins"][0]
    plugin["config"] |= {key: lake[key] for key in ("uri", "warehouse")}
    profile["outputs"]["trino"] = {
        "type": "trino", "method": "none", "host": "127.0.0.1", "port": port, "user": "bench",
        "database": catalog, "schema": "main",
    }  # fmt: skip
    file.write_text(yaml.safe_dump(profiles))


def _differing(one: Path, other: Path) -> int:
    """Flights of which a value differs; floats by more than the tolerance."""
    with duckdb.connect() as connection:
        kinds = {n: k for n, k, *_ in connection.execute(f"describe from '{one}'").fetchall()}
        tests = ["b.flight_id is null", "a.flight_id is null"]
        for name, kind in kinds.items():
            left, right = f'a."{name}"', f'b."{name}"'
            test = f"{left} is distinct from {right}"
            if kind in ("DOUBLE", "FLOAT"):
                near = f"{TOLERANCE} * greatest(abs({left}), abs({right}), 1)"
                test += f" and coalesce(abs({left} - {right}) > {near}, true)"
            tests.append(f"({test})")
        found = connection.execute(
            f"select count(*) from '{one}' as a full join '{other}' as b "
            f"on a.flight_id = b.flight_id where {' or '.join(tests)}"
        ).fetchone()
    assert found is not None
    return int(found[0])


def main() -> int:
    """1 where the answers differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=336_776)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_server() as postgres,
        trino_server(large=True) as trino,
    ):
        root = Path(folder) / "flights_there"
        _run(Path(folder), "init", root.name, "--example", "flights")
        database = postgres.create_database()
        lake = postgres_lake(root, postgres, database)
        _share_lake(root, lake, trino.port, database)
        trino.create_lake_catalog(database, postgres, database, lake["warehouse"])
        _run(root, "ingest", "--example", "flights")
        _run(root, "compile")
        flights = pin(load_table(open_lake(find_project(root).lake), "nyc.flights")).sql
        spine = root / "spine.parquet"
        with duckdb.connect() as connection:
            sql = _SPINE.format(flights=flights, rows=asked.rows)
            connection.execute(f"copy ({sql}) to '{spine}'")
        for engine in ("duckdb", "trino"):
            out = str(root / f"{engine}.parquet")
            words = ("train", SERVICE, "--spine", str(spine), "--out", out, "--engine", engine)
            print(f"{engine}: {_run(root, *words):.1f} s, {asked.rows:,} rows", flush=True)
        differing = _differing(root / "trino.parquet", root / "duckdb.parquet")
        print(f"flights of which a value differs: {differing}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
