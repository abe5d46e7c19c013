"""How long `make demo` takes in a fresh clone once it is installed, and what its parts take."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUIRED = 180


def timed(command: list[str], folder: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - started


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "forebay"
        subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
        installed = timed(["make", "--silent", ".venv/.ready"], clone)
        demo = timed(["make", "--silent", "demo"], clone)
    print(f"\ninstallation {installed:.0f} s, make demo {demo:.0f} s (required: under {REQUIRED})")
    return 0 if demo < REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
