"""Let DuckDB read data files of object stores, each by the credentials of the table that names it.

DuckDB's own reader of object stores is an extension, which an offline machine cannot install. So we
give it a file system: a read of DuckDB's becomes one ranged request of the table's FileIO, made
while Python's lock is free. DuckDB already merges neighbouring columns into one read, asks for
several at once, and keeps what it has read in a connection; the ends of files, where Parquet keeps
its footers, are kept here for all connections. Sizes are known from the manifests, and a file that
Iceberg names never changes, so nothing is asked for but bytes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestEntry

from lakehouse.local_path import is_local

#: Bytes at the end of a file that are fetched with its footer; a smaller file is kept whole.
_TAIL = 128 << 10
#: Bytes of ends that are kept in a process.
_MOST_BYTES = 64 << 20
#: Files known; beyond, the oldest are forgotten.
_MOST_FILES = 400_000
_AT_ONCE = 16


@dataclass
class RemoteFile:
    """A data file in an object store, opened once it is first read.

    Attributes:
        io: of the table that names it, with its credentials.
        size: bytes, as its manifest says.
    """

    location: str
    io: FileIO
    size: int
    _stream: Any = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the file from an offset on; fewer at its end.

        Raises:
            OSError: the store does not answer, refuses, has no such file, or a shorter one.
        """
        length = min(length, self.size - start)
        if length <= 0:
            return b""
        kept = _tails.get(self)
        at_end = start + length > self.size - _TAIL // 4
        if kept is None and at_end and start >= self.size - _TAIL:
            kept = self.fetch_tail()
        if kept is not None and start >= self.size - len(kept):
            place = start - (self.size - len(kept))
            return kept[place : place + length]
        return self._fetch(start, length)

    def fetch_tail(self) -> bytes:
        """The last bytes of the file, kept for all who ask after."""
        start = max(0, self.size - _TAIL)
        data = self._fetch(start, self.size - start)
        _tails.put(self, data)
        return data

    def _fetch(self, start: int, length: int) -> bytes:
        data = self._fetch_some(start, length)
        if len(data) != length:
            # DuckDB would take what its buffer held before for the rest.
            raise OSError(f"{self.location} is shorter than the {self.size} bytes of its table")
        return data

    def _fetch_some(self, start: int, length: int) -> bytes:
        with self._opening:
            if self._stream is None:
                self._stream = self.io.new_input(self.location).open(seekable=True)
        stream = self._stream
        if hasattr(stream, "read_at"):  # pyarrow's, which reads for several threads at once
            return bytes(stream.read_at(length, start))
        with self._opening:
            stream.seek(start)
            return bytes(stream.read(length))


class _Tails:
    """The ends of the files read last, by location and size, up to a total of bytes."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, file: RemoteFile) -> bytes | None:
        key = file.location, file.size
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, file: RemoteFile, data: bytes) -> None:
        key = file.location, file.size
        with self._lock:
            self._bytes += len(data) - len(self._held.pop(key, b""))
            self._held[key] = data
            while self._bytes > _MOST_BYTES and len(self._held) > 1:
                self._bytes -= len(self._held.popitem(last=False)[1])


_tails = _Tails()
_files: OrderedDict[str, RemoteFile] = OrderedDict()
_lock = threading.Lock()
_expected = False


def know_files(io: FileIO, entries: Iterable[ManifestEntry]) -> None:
    """Let DuckDB read the files of a table that are in an object store, from now on.

    A file that is known already is read by the newer credentials.
    """
    for entry in entries:
        location = entry.data_file.file_path
        if is_local(location):
            continue
        with _lock:
            known = _files.get(location)
            if known is None or known.io is not io:
                _files[location] = RemoteFile(location, io, entry.data_file.file_size_in_bytes)
                _files.move_to_end(location)
            if len(_files) > _MOST_FILES:
                _files.popitem(last=False)


def known_file(location: str) -> RemoteFile | None:
    """A file that a table of this process names."""
    return _files.get(location)


def fetch_tails(locations: Sequence[str]) -> None:
    """Fetch the ends of files, several at once, before DuckDB asks for one after the other."""
    known = (file for name in locations if (file := known_file(name)))
    wanted = [file for file in known if _tails.get(file) is None]
    if len(wanted) > 1:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_fetch_if_there, wanted))


def _fetch_if_there(file: RemoteFile) -> None:
    with contextlib.suppress(OSError):  # whoever reads the file is told
        file.fetch_tail()


def expect_remote() -> None:
    """Say that a lake with tables in an object store was opened: connections will need `mount_files`."""
    global _expected
    _expected = True


def any_remote() -> bool:
    """Whether tables of this process may have files elsewhere."""
    return bool(_expected or _files)
