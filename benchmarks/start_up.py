"""CPU seconds of each command on the flights example, with nothing to do; beside another commit.

    .venv/bin/python benchmarks/start_up.py [--against GITREF]

The other commit stands in a worktree of its own, with a project of its own, and its commands run in
turns with ours. Medians of the runs; user and system time of the process, all threads.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

RUNS = 3
HERE = Path(__file__).resolve().parents[1]
#: What each command is asked, once the project is built and synced.
COMMANDS = {
    "--help": ["--help"],
    "compile, nothing changed": ["compile"],
    "plan, nothing changed": ["plan"],
    "explain": ["explain", "route_history"],
    "preview": ["preview", "route_history", "--key", "origin=JFK", "--key", "dest=LAX"],
    "ingest of 2,000 rows": ["ingest", "own.rows", "rows.csv", "--replace"],
    "sync, nothing to do": ["sync"],
    "verify": ["verify"],
    "train of 10 rows": ["train", "arrival_delay_v1", "--spine", "spine.csv", "--out", "t.parquet"],
}


class Side:
    """A commit's code, and a built project of its own."""

    def __init__(self, code: Path, project: Path) -> None:
        self.code, self.project = code, project

    def prepare(self) -> None:
        """Copy the example of that commit, load, build and sync it."""
        self.project.mkdir(parents=True)
        for part in ("models", "macros", "profiles", "tests/dbt", "dbt_project.yml"):
            target = self.project / part
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-r", str(self.code / part), str(target)], check=True)
        start = datetime(2024, 1, 1, tzinfo=UTC)
        rows = (f"{i},{i * 2},{(start + timedelta(minutes=i)).isoformat()}" for i in range(2000))
        (self.project / "rows.csv").write_text("id,v,ts\n" + "\n".join(rows) + "\n")
        spine = "JFK,LAX,AA,N327AA,2013-12-01T12:00:00Z\n" * 10
        header = "origin,dest,carrier,tailnum,event_timestamp\n"
        (self.project / "spine.csv").write_text(header + spine)
        for words in (["ingest", "--example", "flights"], ["build"], ["sync"]):
            self.run(words)

    def run(self, words: list[str]) -> float:
        """CPU seconds of one command."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "forebay", *words],
            cwd=self.project,
            env={**os.environ, "PYTHONPATH": str(self.code)},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", metavar="GITREF", help="another commit to run beside this one")
    against: str | None = parser.parse_args().against
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="start_up")))
        sides = {"now": Side(HERE, home / "now")}
        if against is not None:
            code = home / "code"
            git = ["git", "-C", str(HERE), "worktree"]
            subprocess.run([*git, "add", "--detach", "--quiet", str(code), against], check=True)
            stack.callback(subprocess.run, [*git, "remove", "--force", str(code)], check=True)
            sides[against] = Side(code, home / "other")
        for side in sides.values():
            side.prepare()
        print(f"{'CPU seconds':26}" + "".join(f"{name:>12}" for name in sides))
        for name, words in COMMANDS.items():
            for side in sides.values():
                side.run(words)  # fills caches
            runs: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(RUNS):
                for label, side in sides.items():
                    runs[label].append(side.run(words))
            middle = [statistics.median(taken) for taken in runs.values()]
            ratio = f"{middle[-1] / middle[0]:10.1f} x" if against is not None else ""
            print(f"{name:26}" + "".join(f"{m:12.2f}" for m in middle) + ratio, flush=True)


if __name__ == "__main__":
    main()
