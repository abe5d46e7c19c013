"""Ingests that are killed at any point, that run at once, or that run out of room: each file once.

FOREBAY_KILL_ROUNDS says how often; `make torture` sets it to 50.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from lakehouse.ingest.quarantine import quarantine_of
from lakehouse.lake import find_table, load_table
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("FOREBAY_KILL_ROUNDS", "3"))
TABLE = "s.t"

SCRIPT = """
import sys
from pathlib import Path
from lakehouse.ingest.files import ingest_files
from lakehouse.ingest.source import FileOptions
from lakehouse.lake import open_lake
folder = sys.argv[1]
lake = open_lake({"name": "lake", "uri": f"sqlite:///{folder}/lake/catalog.db",
                  "warehouse": f"{folder}/lake/warehouse"})
print("ready", flush=True)
done = ingest_files(lake, "s.t", [Path(p) for p in sys.argv[2:]], mode="append",
                    options=FileOptions(declared={"v": "bigint"}))
print(done.rows, flush=True)
"""


def start(folder: Path, *files: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-c", SCRIPT, str(folder), *map(str, files)]
    return subprocess.Popen(
        words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def write(folder: Path, name: str, numbers: range) -> Path:
    """A file of these numbers, and of one row that does not fit."""
    path = folder / f"{name}.csv"
    path.write_text("v\n" + "".join(f"{n}\n" for n in numbers) + f"row of {name}\n")
    return path


def values(lake: Catalog, table: str = TABLE, column: str = "v") -> Counter[object]:
    return Counter(read_arrow(load_table(lake, table))[column].to_pylist())


def test_killed_at_random_each_file_arrives_once(tmp_path: Path) -> None:
    lake = local_lake(tmp_path)
    draw = random.Random(int.from_bytes(os.urandom(4)))
    expected: Counter[object] = Counter()
    for number in range(ROUNDS):
        numbers = range(number * 50_000, (number + 1) * 50_000)
        file = write(tmp_path, f"f{number}", numbers)
        took = 1.0
        while True:
            process = start(tmp_path, file)
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            began, patience = time.monotonic(), draw.uniform(0, 1.2 * took)
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            process.communicate()
            found = find_table(lake, TABLE)
            seen = Counter() if found is None else values(lake)
            assert seen in (expected, expected + Counter(numbers))
            if code != -signal.SIGKILL:
                assert code == 0
                break
            took = max(took, time.monotonic() - began) * 1.5
        expected += Counter(numbers)
        assert values(lake) == expected
        kept = values(lake, quarantine_of(TABLE), "content")
        assert kept == Counter(f'{{"v":"row of f{n}"}}' for n in range(number + 1))


def test_two_at_once_load_what_both_name_once(tmp_path: Path) -> None:
    shared = write(tmp_path, "shared", range(1000))
    own = [write(tmp_path, f"own{n}", range(1000 * (n + 1), 1000 * (n + 2))) for n in range(2)]
    running = [start(tmp_path, shared, file) for file in own]
    told = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    lake = local_lake(tmp_path)
    assert values(lake) == Counter(range(3000))
    assert sum(int(out.split()[-1]) for out, _ in told) == 3000
    assert set(values(lake, quarantine_of(TABLE), "content").values()) == {1}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes."""
    home = tmp_path / "small"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(home)], check=True)
    try:
        yield home
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_full_disk_leaves_the_table_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    lake = local_lake(small_disk)
    process = start(small_disk, write(tmp_path, "a", range(1000)))
    assert process.communicate()[1] is not None and process.returncode == 0
    draw = random.Random(7)
    large = tmp_path / "large.csv"
    large.write_text("v\n" + "".join(f"{draw.getrandbits(62)}\n" for _ in range(800_000)))
    before = load_table(lake, TABLE).metadata_location
    files = sorted(small_disk.rglob("*.parquet"))
    process = start(small_disk, large)
    _, error = process.communicate()
    assert process.returncode != 0 and "No space left on device" in error
    assert load_table(lake, TABLE).metadata_location == before
    assert sorted(small_disk.rglob("*.parquet")) == files
    process = start(small_disk, write(tmp_path, "b", range(1000, 2000)))
    process.communicate()
    assert process.returncode == 0 and values(lake) == Counter(range(2000))
