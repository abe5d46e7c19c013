"""The spool of served vectors: files that one server writes, and that are committed once whole.

A file is called ``<nanoseconds>-<random>.open`` while its server writes it, which holds a lock on it
as long as it lives, and ``.jsonl`` from then on. What a killed server has left open nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from feature_specs.errors import DataError

#: Bytes of a file, seconds until a file is whole however short it is, and bytes of all files.
FILE_BYTES, FILE_S, FOLDER_BYTES = 8 * 2**20, 10.0, 512 * 2**20
_OPEN, _WHOLE = ".open", ".jsonl"


class Spool:
    """The files of one server.

    Args:
        folder: made where it is missing, once there is something to write.
        file_bytes, file_s, folder_bytes: see `FILE_BYTES`. Each server looks at the folder as it
            opens a file, so all files may be a file of each server longer.
    """

    def __init__(
        self,
        folder: Path,
        file_bytes: int = FILE_BYTES,
        file_s: float = FILE_S,
        folder_bytes: int = FOLDER_BYTES,
    ) -> None:
        self._folder = folder
        self._file_bytes, self._file_s, self._folder_bytes = file_bytes, file_s, folder_bytes
        self._file: tuple[int, Path] | None = None
        self._since, self._bytes = 0.0, 0

    def write(self, lines: Sequence[bytes]) -> int:
        """Append lines; how many were written: none where the folder is full.

        Raises:
            OSError: the folder cannot be written. Lines of before are kept.
        """
        written = 0
        for line in lines:
            if self._file is None and not self._begin():
                break
            assert self._file is not None
            self._append(self._file[0], line)
            written += 1
            self._bytes += len(line)
            if self._bytes >= self._file_bytes:
                self.finish()
        if self._file is not None and time.monotonic() - self._since >= self._file_s:
            self.finish()
        return written

    def _append(self, descriptor: int, line: bytes) -> None:
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            os.ftruncate(descriptor, self._bytes)  # no later line is to follow half of this one
            raise

    def finish(self) -> None:
        """Leave the file to whoever commits it."""
        if self._file is not None:
            (descriptor, path), self._file = self._file, None
            path.replace(path.with_suffix(_WHOLE))
            os.close(descriptor)

    def _begin(self) -> bool:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(_size(path) for path in self._folder.iterdir()) >= self._folder_bytes:
            return False
        while self._file is None:
            name = f"{time.time_ns():019d}-{uuid.uuid4().hex[:12]}{_OPEN}"
            path = self._folder / name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            # Who commits may have taken it for one that a killed server left.
            if _locked(descriptor) and path.exists():
                self._file = descriptor, path
            else:
                os.close(descriptor)
        self._since, self._bytes = time.monotonic(), 0
        return True


def whole_files(folder: Path, *, take: bool = True) -> list[Path]:
    """The files that are written no more, oldest first.

    Args:
        take: those of killed servers are made whole too.
    """
    if take:
        for path in sorted(folder.glob(f"*{_OPEN}")):
            _take(path)
    return sorted(folder.glob(f"*{_WHOLE}"))


@contextmanager
def only_reader(folder: Path) -> Iterator[bool]:
    """Whether nobody else commits the folder meanwhile."""
    descriptor = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file; half a line, which a killed server left at its end, is none.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise DataError(
            f"served vectors cannot be read: {error.strerror}",
            where=str(path),
            hint="let this user read it, or remove it",
        ) from None


def _take(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return  # whole by now
    try:
        if _locked(descriptor) and path.exists():
            path.replace(path.with_suffix(_WHOLE))
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
