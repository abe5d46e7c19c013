"""Upkeep of a stream's tables: `forebay maintain` beside it, now and then, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

from forebay.dbt_project.project import Project
from forebay.options import run_instant

#: Below this process in the queue for processors.
_NICE = 10
_PATIENCE_S = 30.0


@dataclass
class StreamUpkeep:
    """Runs `forebay maintain` on some tables, one run at a time.

    It is a process of its own, so that it takes neither the interpreter nor the memory of the stream,
    and one that is ended half way has lost nothing. What it commits are commits of another writer:
    a batch that meets one looks at its fence again.

    Args:
        tables: names of Iceberg tables.
        every: seconds from the end of a run to the next; 0 for none at all. The first begins after a
            tenth of that, since a stream that is often started anew needs it too.
        clock: the stream's, by which its views still read rows that are old by another.
        say: told what a run has freed.
        complain: told of a run that fails; the next one tries again.
    """

    project: Project
    tables: Sequence[str]
    every: float
    clock: Callable[[], datetime]
    say: Callable[[str], None]
    complain: Callable[[str], None]
    runs: int = 0
    _process: subprocess.Popen[str] | None = None
    _output: IO[str] | None = None
    _due: float = field(init=False)

    def __post_init__(self) -> None:
        self._due = time.monotonic() + self.every / 10

    @property
    def running(self) -> bool:
        """Whether a run is at work."""
        return self._process is not None

    def go_on(self, may_begin: bool) -> None:
        """Take note of a run that has ended, and begin one that is due.

        Args:
            may_begin: whether this process is the one to do so, and nobody else changes the tables
                but for adding rows.
        """
        if self._process is not None and self._process.poll() is not None:
            self._finish(self._process)
        if self.every > 0 and may_begin and not self.running and time.monotonic() >= self._due:
            self._begin()

    def close(self) -> None:
        """End a run that is at work."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._close_output()

    def _begin(self) -> None:
        target = ["--target", self.project.target] if self.project.target else []
        # A row goes once it is old by both clocks: views of the stream go by the one, builds by the other.
        now = min(self.clock(), run_instant(self.project, None)).isoformat()
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "forebay", "maintain", *self.tables, "--now", now, *target],
            cwd=self.project.root,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            text=True,
            # Signals of the terminal are for the stream, which ends it.
            start_new_session=True,
        )
        os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)

    def _finish(self, process: subprocess.Popen[str]) -> None:
        assert self._output is not None
        self._output.seek(0)
        lines = [line for line in self._output.read().splitlines() if line.strip()]
        told = lines[-1] if lines else "nothing"
        if process.returncode:
            self.complain(f"upkeep: {told}")
        else:
            self.say(f"upkeep: {told}")
        self.runs += 1
        self._process = None
        self._close_output()
        self._due = time.monotonic() + self.every

    def _close_output(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None
