"""How long `forebay --help` takes, beside an empty Python and `dbt --help`. Medians, by turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
REQUIRED = 0.3


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    scripts = Path(sys.executable).parent
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "forebay --help": [str(scripts / "forebay"), "--help"],
        "dbt --help": [str(scripts / "dbt"), "--help"],
    }
    for command in commands.values():
        seconds(command)  # fills the disk cache
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            runs[name].append(seconds(command))
    for name, taken in runs.items():
        print(f"{name:18}{statistics.median(taken):7.3f} s   median of {RUNS}")
    return 0 if statistics.median(runs["forebay --help"]) <= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
