"""Feast 0.67.0 with DuckDB: installed once into a cache outside the tree, with pinned packages."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.67.0"
CACHE = Path(os.environ.get("FOREBAY_SERVERS", Path.home() / ".cache" / "forebay-servers"))
_CONSTRAINTS = Path(__file__).with_name("constraints.txt")


def feast_python() -> Path:
    """The Python that has Feast; the first call on a machine installs it, which takes a minute."""
    folder = CACHE / f"feast-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    python, wanted = folder / "bin" / "python", _CONSTRAINTS.read_text()
    with (CACHE / f"feast-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = folder / "constraints.txt"  # written last
        if ready.exists() and ready.read_text() == wanted:
            return python
        shutil.rmtree(folder)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        needed = ["--constraint", str(_CONSTRAINTS), f"feast[duckdb]=={VERSION}"]
        subprocess.run([*pip, *needed], check=True)
        ready.write_text(wanted)
    return python


def feast_environment() -> dict[str, str]:
    """What a Feast runs with: none of this checkout's packages, and it sends its usage nowhere."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "FEAST_USAGE": "False"}


def run_feast(folder: Path, program: str, *words: str) -> str:
    """What a Python program prints that runs where Feast is.

    Args:
        folder: where it runs.
        program: its text.
        words: its arguments.
    """
    done = subprocess.run(
        [str(feast_python()), "-c", program, *words],
        cwd=folder,
        env=feast_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
