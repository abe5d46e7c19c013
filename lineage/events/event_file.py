"""The default receiver: lines of JSON in a file, rotated by size; safe under several writers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

#: A file as large as this is set aside, and so many of those are kept.
ROTATE_BYTES, KEEP = 16 << 20, 4


class EventFile:
    """Appends events to ``events.ndjson`` in a folder; older ones are in ``events.1.ndjson``, ...

    Each batch is one write under a lock of the folder, so lines of several processes never mix. A
    process that is killed half way leaves at most one broken line, which the next write ends.
    """

    def __init__(self, folder: Path, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.path = folder / "events.ndjson"
        self._rotate = rotate_bytes

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.path)

    def send(self, events: Sequence[str]) -> None:
        """Write events, each a line of JSON. Raises OSError where the disk does not take them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = "".join(f"{event}\n" for event in events).encode()
        lock = os.open(self.path.with_name(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            file = self._opened()
            try:
                self._append(file, data)
            finally:
                os.close(file)
        finally:
            os.close(lock)  # which lets go of the lock

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        file = os.open(self.path, flags, 0o644)
        if os.fstat(file).st_size < self._rotate:
            return file
        os.close(file)
        for number in range(KEEP, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))
        self._numbered(KEEP + 1).unlink(missing_ok=True)
        return os.open(self.path, flags, 0o644)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"events.{number}.ndjson")

    @staticmethod
    def _append(file: int, data: bytes) -> None:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            data = b"\n" + data
        while data:
            data = data[os.write(file, data) :]
