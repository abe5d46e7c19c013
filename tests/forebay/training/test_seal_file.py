"""A training set's file is replaced whole or not at all, whoever else writes it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from forebay.training.seal_file import sealing

_KILLED = """
import os, signal, sys
from pathlib import Path
from forebay.training.seal_file import sealing
with sealing(Path(sys.argv[1])) as staged:
    staged.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_two_writers_at_once_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    both, names = threading.Barrier(2), []

    def write(letter: str) -> None:
        with sealing(path) as staged:
            names.append(staged)
            for _ in range(3):
                both.wait(30)
                with staged.open("a") as file:
                    file.write(letter)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("aaa", "bbb")
    assert len(set(names)) == 2 and list(tmp_path.iterdir()) == [path]


def test_what_fails_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), sealing(path) as staged:
        staged.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = tmp_path / "set[1].parquet"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False)
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    assert (left / "rows").read_text() == "half"
    with sealing(path) as other:
        other.write_text("other")
        assert not left.exists()
        result: list[bool] = []

        def beside() -> None:
            with sealing(path) as own:
                own.write_text("own")
                result.append(other.exists())

        thread = threading.Thread(target=beside)
        thread.start()
        thread.join()
        assert result == [True] and path.read_text() == "own"
    assert path.read_text() == "other" and list(tmp_path.iterdir()) == [path]
