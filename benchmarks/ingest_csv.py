"""CPU seconds and memory of a CSV file into a new Iceberg table, beside what one would write by hand.

    .venv/bin/python benchmarks/ingest_csv.py [--rows N] [--columns N] [--against GITREF]

The rivals read the file with DuckDB's read_csv (its types guessed from a sample) or with pyarrow's csv
reader, and append the result with PyIceberg: they check no value. Each run is a process of its own, in
turns; medians of the runs, user and system time of all threads.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RUNS = 3
HEADER = "id,at,customer,amount,country,note,quantity,paid"

#: Ways in which the column `note` is written, which decide how the lines are counted.
NOTES: dict[str, Callable[[int], str]] = {
    "no quotes": lambda n: f"note {n}",
    "quoted commas": lambda n: f'"some, note {n}"',
    "quotes in quotes": lambda n: f'"a ""note"" {n}"',
    "line ends in quotes": lambda n: f'"a note\n{n}"',
}

_OPEN = """
import resource, sys
from pathlib import Path
from lakehouse.lake import open_lake
path, folder = Path(sys.argv[1]), sys.argv[2]
lake = open_lake({"name": "l", "uri": f"sqlite:///{folder}/c.db", "warehouse": f"{folder}/w"})
"""
_CLOSE = """
lake.create_namespace("r")
lake.create_table("r.t", schema=rows.schema).append(rows)
"""
_TELL = "\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
SIDES = {
    "forebay ingest": "from lakehouse.ingest.files import ingest_file\n"
    "ingest_file(lake, 'r.t', path, mode='append')",
    "DuckDB and PyIceberg": "import duckdb\n"
    "rows = duckdb.read_csv(str(path)).to_arrow_table()" + _CLOSE,
    "pyarrow and PyIceberg": "import pyarrow.csv\nfrom pyarrow.csv import ParseOptions\n"
    "options = ParseOptions(newlines_in_values=True)\n"
    "rows = pyarrow.csv.read_csv(path, parse_options=options)" + _CLOSE,
}


def write(path: Path, rows: int, note: Callable[[int], str], more: int) -> None:
    draw = random.Random(7)
    names = "".join(f",x{i}" for i in range(more))
    with path.open("w") as file:
        file.write(f"{HEADER}{names}\n")
        file.writelines(_lines(draw, rows, note, more))


def _lines(draw: random.Random, rows: int, note: Callable[[int], str], more: int) -> Iterator[str]:
    for n in range(rows):
        day = f"2024-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        amount, paid = draw.randint(0, 10**6) / 100, draw.choice(("true", "false"))
        further = "".join(f",{draw.randint(0, 999)}" for _ in range(more))
        yield (
            f"{n},{day}T{n % 24:02d}:{n % 60:02d}:00Z,C{n % 90000:05d},{amount},DE,"
            f"{note(n)},{n % 50},{paid}{further}\n"
        )


def measure(code: Path, script: str, path: Path) -> tuple[float, float]:
    """CPU seconds and megabytes of one run."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", _OPEN + script + _TELL, str(path), folder],
            env={**os.environ, "PYTHONPATH": str(code)},
            check=True,
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, int(done.stdout.split()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--columns", type=int, default=8, help="8 or more")
    parser.add_argument("--against", metavar="GITREF", help="another commit to run beside this one")
    given = parser.parse_args()
    sides = {name: (HERE, script) for name, script in SIDES.items()}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ingest_csv")))
        if given.against:
            other = home / "other"
            worktree = ["git", "-C", str(HERE), "worktree"]
            subprocess.run(
                [*worktree, "add", "-q", "--detach", str(other), given.against], check=True
            )
            stack.callback(subprocess.run, [*worktree, "remove", "--force", str(other)], check=True)
            sides[f"forebay at {given.against}"] = (other, SIDES["forebay ingest"])
        for written, note in NOTES.items():
            path = home / "rows.csv"
            write(path, given.rows, note, given.columns - 8)
            found = {side: list[tuple[float, float]]() for side in sides}
            for _ in range(RUNS):
                for side, (code, script) in sides.items():
                    found[side].append(measure(code, script, path))
            print(f"{written}: {given.rows} rows, {path.stat().st_size / 1e6:.0f} MB")
            for side, runs in found.items():
                cpu, memory = (statistics.median(r[at] for r in runs) for at in (0, 1))
                print(f"  {side:28} {cpu:6.2f} s {memory:6.0f} MB")


if __name__ == "__main__":
    main()
