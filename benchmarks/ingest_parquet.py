"""CPU seconds, rows a second and memory of a 10-column Parquet file into a new Iceberg table.

    .venv/bin/python benchmarks/ingest_parquet.py [--rows N] [--runs N] [--only SIDE]

Beside it, in turns, each in a process of its own: DuckDB's COPY of the file alone, which makes no
table, and PyIceberg's append of the file's batches. Neither of them looks at a value, or knows the file
when it comes again. Medians; user and system time of all threads; the peak of resident memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]

_MAKE = """copy (
  select i as id, make_timestamptz(1700000000000000 + i * 1000000 + (hash(i) % 100000)::bigint) as ts,
    'C' || (hash(i + 1) % 1000000)::varchar as customer, (hash(i + 2) % 1000000) / 100.0 as amount,
    (hash(i + 3) % 100000)::integer as quantity, (hash(i + 4) % 2) = 0 as paid,
    date '2024-01-01' + (hash(i + 5) % 365)::integer as day,
    ((hash(i + 6) % 10000000) / 100)::decimal(10, 2) as price,
    ['DE', 'FR', 'US', 'NL'][1 + (hash(i + 7) % 4)::integer] as country, 'note ' || (i % 1000) as note
  from range({rows}) as made(i)
) to '{path}' (format parquet)"""

_OPEN = """
import resource, sys
from pathlib import Path
path, folder = Path(sys.argv[1]), sys.argv[2]
"""
_LAKE = """
from lakehouse.lake import open_lake
lake = open_lake({"name": "l", "uri": f"sqlite:///{folder}/c.db", "warehouse": f"{folder}/w"})
"""
_TELL = "\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
SIDES = {
    "forebay ingest": _LAKE
    + "from lakehouse.ingest.files import ingest_files\n"
    + "ingest_files(lake, 'r.t', [path], mode='append')",
    "DuckDB COPY, no table": "import duckdb\n"
    "duckdb.execute(f\"copy (from '{path}') to '{folder}/out' "
    '(format parquet, compression zstd, row_groups_per_file 16)")',
    "PyIceberg append": _LAKE
    + "import pyarrow.parquet as pq\n"
    + "file = pq.ParquetFile(path)\n"
    + "lake.create_namespace('r')\n"
    + "table = lake.create_table('r.t', schema=file.schema_arrow)\n"
    + "import pyarrow as pa\n"
    + "for batch in file.iter_batches(2_000_000):\n"
    + "    table.append(pa.Table.from_batches([batch]))",
}


def make(path: Path, rows: int) -> None:
    """The file, made in a process of its own so that its memory is not counted."""
    script = "import duckdb, sys\nduckdb.execute('set preserve_insertion_order = false')\n"
    script += "duckdb.execute(sys.argv[1])"
    made = _MAKE.format(rows=rows, path=path)
    subprocess.run([sys.executable, "-c", script, made], check=True)


def measure(script: str, path: Path) -> tuple[float, float, float]:
    """CPU seconds, seconds and megabytes of one run."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _OPEN + script + _TELL, str(path), folder],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            check=True,
            capture_output=True,
            text=True,
        )
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, took, int(done.stdout.split()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=SIDES)
    given = parser.parse_args()
    sides = {given.only: SIDES[given.only]} if given.only else SIDES
    with tempfile.TemporaryDirectory(prefix="ingest_parquet") as home:
        path = Path(home) / "rows.parquet"
        make(path, given.rows)
        found = {side: list[tuple[float, float, float]]() for side in sides}
        for _ in range(given.runs):
            for side, script in sides.items():
                found[side].append(measure(script, path))
        print(f"{given.rows:,} rows, 10 columns, {path.stat().st_size / 1e6:.0f} MB")
        print(f"{'':24} {'CPU s':>7} {'s':>7} {'rows a CPU s':>14} {'peak MB':>8}")
        for side, runs in found.items():
            cpu, took, memory = (statistics.median(r[at] for r in runs) for at in range(3))
            print(f"{side:24} {cpu:7.1f} {took:7.1f} {given.rows / cpu:14,.0f} {memory:8.0f}")


if __name__ == "__main__":
    main()
