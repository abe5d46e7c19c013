"""Ingests that are killed, or that run at once: a table has all of a file's rows or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from lakehouse.ingest.files import ingest_file
from lakehouse.lake import find_table, load_table, open_lake
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal, sys
from pathlib import Path
from lakehouse.ingest.files import ingest_file
from lakehouse.lake import open_lake
folder, file, mode, dies = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
lake = open_lake({"name": "lake", "uri": f"sqlite:///{folder}/lake/catalog.db",
                  "warehouse": f"{folder}/lake/warehouse"})
if dies == "dies":
    type(lake).commit_table = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
ingest_file(lake, "s.t", file, mode=mode)
"""


def start(folder: Path, file: Path, mode: str, dies: str = "lives") -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-c", SCRIPT, str(folder), str(file), mode, dies]
    return subprocess.Popen(words, env=environment)


def values(lake: Catalog) -> list[int]:
    return sorted(read_arrow(load_table(lake, "s.t"))["v"].to_pylist())


def test_killed_before_its_commit_nothing_is_there_and_the_next_run_works(
    lake: Catalog, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("v\n1\n2\n")
    with start(tmp_path, file, "append", "dies") as killed:
        assert killed.wait() == -signal.SIGKILL
    assert find_table(lake, "s.t") is None
    ingest_file(lake, "s.t", file, mode="append")
    file.write_text("v\n3\n")
    with start(tmp_path, file, "replace", "dies") as killed:
        assert killed.wait() == -signal.SIGKILL
    assert values(lake) == [1, 2]
    ingest_file(lake, "s.t", file, mode="replace")
    assert values(lake) == [3]


def test_two_that_make_one_table_at_once_both_arrive(lake: Catalog, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.csv" for n in range(3)]
    for n, file in enumerate(files):
        file.write_text(f"v\n{n}\n")
    running = [start(tmp_path, file, "append") for file in files]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert values(open_lake({"name": "lake", "uri": f"sqlite:///{tmp_path}/lake/catalog.db",
                             "warehouse": f"{tmp_path}/lake/warehouse"})) == [0, 1, 2]  # fmt: skip
