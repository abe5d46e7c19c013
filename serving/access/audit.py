"""The audit log: who asked for which views, in lines of JSON. It holds no value and no key.

A request adds to a list; the lines are made and written by a thread, some times a second. Where they
come faster than they can be written they are dropped and counted, and requests wait for nothing.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from serving.access.team import Caller

#: Lines that wait to be written, and bytes of a file, and files that are kept.
BUFFERED, FILE_BYTES, FILES = 50_000, 64 * 2**20, 5
#: Seconds between writes.
WRITE_S = 0.5
#: Views that a line names.
_NAMED = 50
#: So much goes into a pipe at once, or waits.
_PIPE_BYTES = select.PIPE_BUF
STDOUT = "-"


class Asked(NamedTuple):
    """What a request asks for, by names of the project."""

    service: str | None
    views: Sequence[str]


@dataclass(frozen=True)
class AuditLimits:
    """Bounds of the log; see `BUFFERED`, `FILE_BYTES` and `FILES`."""

    buffered: int = BUFFERED
    file_bytes: int = FILE_BYTES
    files: int = FILES


class Audit:
    """Keeps who asked for what until it is written.

    Attributes:
        dropped: lines that were not written, since the start.

    Args:
        target: a file, or ``-`` for standard output.
        now: the clock, in seconds since the epoch.
    """

    def __init__(
        self,
        target: str,
        limits: AuditLimits = AuditLimits(),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limits, self._now = limits, now
        self._write = _write_stdout if target == STDOUT else _File(Path(target), limits).write
        self._kept: list[tuple[Any, ...]] = []
        self.dropped = 0
        self._told = 0
        self._failed = False

    def record(
        self, caller: Caller | None, asked: Asked | None, entities: int, status: int, seconds: float
    ) -> None:
        """A request was answered.

        Args:
            caller: who asked; None where that is not known.
            asked: None where that was not found out.
        """
        if len(self._kept) >= self._limits.buffered:
            self.dropped += 1
        else:
            self._kept.append((self._now(), caller, asked, entities, status, seconds))

    def flush(self) -> None:
        """Write what was kept; for one thread at a time."""
        kept, self._kept = self._kept, []
        lines = [_line(*each) for each in kept]
        dropped = self.dropped - self._told
        if dropped:
            lines.append(orjson.dumps({"at": _instant(self._now()), "dropped": dropped}) + b"\n")
        if not lines:
            return
        try:
            written = self._write(lines)
        except OSError as error:
            written = 0
            if not self._failed:
                print(f"warning: the audit log cannot be written: {error}", file=sys.stderr)
        self._failed = written < len(lines)
        self.dropped += min(len(kept), len(lines) - written)
        if written == len(lines):
            self._told += dropped


def _line(
    at: float,
    caller: Caller | None,
    asked: Asked | None,
    entities: int,
    status: int,
    seconds: float,
) -> bytes:
    views = () if asked is None else asked.views
    fields: dict[str, Any] = {
        "at": _instant(at),
        "team": None if caller is None else caller.team.name,
        "key": None if caller is None else caller.key,
        "service": None if asked is None else asked.service,
        "views": list(views[:_NAMED]),
        "entities": entities,
        "status": status,
        "ms": round(seconds * 1000, 3),
    }
    if len(views) > _NAMED:
        fields["more_views"] = len(views) - _NAMED
    return orjson.dumps(fields) + b"\n"


def _instant(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


class _File:
    """A file that is moved aside once it is long; several workers write into one."""

    def __init__(self, path: Path, limits: AuditLimits) -> None:
        self._path, self._limits = path, limits

    def write(self, lines: Sequence[bytes]) -> int:
        """Append the lines; how many were written."""
        text = b"".join(lines)
        descriptor = self._locked()
        try:
            if os.fstat(descriptor).st_size + len(text) > self._limits.file_bytes:
                self._rotate()
                os.close(descriptor)
                descriptor = self._locked()
            left = memoryview(text)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        return len(lines)

    def _locked(self) -> int:
        """The file, which nobody else writes or moves until it is closed."""
        while True:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    return descriptor
            except FileNotFoundError:
                pass
            os.close(descriptor)  # it was moved aside meanwhile

    def _rotate(self) -> None:
        if not self._path.stat().st_size:
            return
        for number in range(self._limits.files - 1, 0, -1):
            before = self._numbered(number - 1)
            if before.exists():
                before.replace(self._numbered(number))
        if self._limits.files == 1:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _write_stdout(lines: Sequence[bytes]) -> int:
    """Write lines to standard output while its reader takes them; how many were written.

    A pipe takes as much as this at once, or none: lines of several workers do not mix. A longer line
    is left out.
    """
    written, descriptor = 0, sys.stdout.fileno()
    for line in lines:
        if len(line) > _PIPE_BYTES:
            continue
        if not select.select([], [descriptor], [], 1.0)[1]:
            break
        os.write(descriptor, line)
        written += 1
    return written
