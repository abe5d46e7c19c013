"""Folders of killed processes are removed, those in use are not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from serving.sync.spill import spill_folder

HOLDER = """
import sys
from serving.sync.spill import spill_folder
with spill_folder() as folder:
    (folder / "duckdb_temp").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = tmp_path / "forebay-sync-of-something-else"
    other.mkdir()
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as holder:
        assert holder.stdout is not None
        theirs = Path(holder.stdout.readline().strip())
        with spill_folder() as ours:
            assert theirs.parent == ours.parent == tmp_path
            assert (theirs / "duckdb_temp").exists()
        assert not ours.exists()
        holder.kill()
    assert theirs.exists()
    with spill_folder() as ours:
        assert not theirs.exists() and ours.exists()
    assert list(tmp_path.iterdir()) == [other]
