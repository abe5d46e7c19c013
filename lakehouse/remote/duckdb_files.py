"""The file system by which DuckDB reads `remote_files`.

DuckDB says where to read by two calls, seek and then read, and several of its threads share one
open file. So a file here has a position for each thread: with one for all, as the files of fsspec
have it, a thread could read where another one had just gone to.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from lakehouse.remote.remote_files import RemoteFile, known_file

#: Schemes of the object stores that pyiceberg knows.
SCHEMES = ("s3", "s3a", "s3n", "gs", "oss", "abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs")
#: What DuckDB calls the file system: the first of its schemes.
NAME = "forebay"

#: A file that Iceberg names never changes.
_UNCHANGED = datetime(2000, 1, 1, tzinfo=UTC)
#: How `footers.path_sql` writes a character that would be a pattern.
_ESCAPED = re.compile(r"\[([*?\[])\]")


class DuckDbFiles(AbstractFileSystem):  # type: ignore[misc]
    """The files that tables of this process name; there are no others, and nothing is listed."""

    protocol = (NAME, *SCHEMES)
    cachable = False

    def open(self, path: str, mode: str = "rb", **options: Any) -> _OpenFile:
        """Open a file for reading.

        Raises:
            FileNotFoundError: no table names it.
            PermissionError: it is to be written.
        """
        if mode != "rb":
            raise PermissionError(f"DuckDB only reads {path}")
        return _OpenFile(_file(path))

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, type and size."""
        file = _file(path)
        return {"name": file.location, "type": "file", "size": file.size}

    def glob(self, path: str, **options: Any) -> list[str]:
        """The one file that a path names."""
        plain = _ESCAPED.sub(r"\1", path)
        return [plain] if known_file(plain) is not None else []

    def exists(self, path: str, **options: Any) -> bool:
        """Whether a table names the file."""
        return known_file(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether a table names the file."""
        return known_file(path) is not None

    def isdir(self, path: str) -> bool:
        """Never: an object store has no folders."""
        return False

    def modified(self, path: str) -> datetime:
        """The same instant always, so that DuckDB keeps what it has read."""
        return _UNCHANGED


def _file(path: str) -> RemoteFile:
    found = known_file(path)
    if found is None:
        raise FileNotFoundError(path)
    return found


class _OpenFile:
    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._positions: dict[int, int] = {}

    def seek(self, offset: int, whence: int = 0) -> int:
        here = threading.get_ident()
        base = (0, self._positions.get(here, 0), self._file.size)[whence]
        self._positions[here] = base + offset
        return base + offset

    def tell(self) -> int:
        return self._positions.get(threading.get_ident(), 0)

    def read(self, length: int = -1) -> bytes:
        here = threading.get_ident()
        start = self._positions.get(here, 0)
        data = self._file.read(start, self._file.size if length < 0 else length)
        self._positions[here] = start + len(data)
        return data

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held open but by `remote_files`."""
