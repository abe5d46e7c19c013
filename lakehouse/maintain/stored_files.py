"""List and delete the files in a table's folders, by the file system of the table's own FileIO."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from pyarrow.fs import FileSelector, FileType
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from feature_specs.errors import DataError
from lakehouse.local_path import is_local, local_path

#: How fsspec's file systems call the instant at which a file was last written.
_CHANGED = ("LastModified", "last_modified", "mtime", "updated")


@dataclass(frozen=True)
class StoredFile:
    """A file as its store has it.

    Attributes:
        name: of the file in its store, the same for all ways to spell its URI.
        changed: when it was last written; None where the store does not say.
    """

    name: str
    size: int
    changed: datetime | None


class FileStore(Protocol):
    """The file system of a table's folders."""

    def name_of(self, uri: str) -> str:
        """The name of a file or folder that Iceberg's metadata gives as a URI."""
        ...

    def uri_of(self, name: str) -> str:
        """A URI by which the table's FileIO finds a file."""
        ...

    def files(self, folder: str) -> Iterator[StoredFile]:
        """All files in a folder and those below it, given by URI; none if it is not there."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file. Raises FileNotFoundError or another OSError."""
        ...


def store_of(io: FileIO, location: str) -> FileStore:
    """The store behind a FileIO.

    Args:
        location: of the table.

    Raises:
        DataError: the FileIO is of a kind that cannot list files.
    """
    if isinstance(io, PyArrowFileIO):
        return _ArrowStore(io, location.rstrip("/"))
    if hasattr(io, "get_fs"):
        return _FsspecStore(io, location.rstrip("/"))
    raise DataError(
        f"its files are reached by {type(io).__name__}, which cannot list them",
        where=f"table at {location}",
        hint="name pyiceberg.io.pyarrow.PyArrowFileIO as the catalog's py-io-impl",
    )


class _ArrowStore:
    def __init__(self, io: PyArrowFileIO, location: str) -> None:
        self._properties, self._local = io.properties, is_local(location)
        scheme, host, _ = PyArrowFileIO.parse_location(location, io.properties)
        self._files = io.fs_by_scheme(scheme, host)
        self._prefix = "" if self._local else location.removesuffix(self.name_of(location))

    def name_of(self, uri: str) -> str:
        _, _, path = PyArrowFileIO.parse_location(uri, self._properties)
        return os.path.realpath(path) if self._local else path

    def uri_of(self, name: str) -> str:
        return self._prefix + name

    def files(self, folder: str) -> Iterator[StoredFile]:
        selector = FileSelector(self.name_of(folder), recursive=True, allow_not_found=True)
        for info in self._files.get_file_info(selector):
            if info.type == FileType.File:
                name = os.path.realpath(info.path) if self._local else info.path
                yield StoredFile(name, int(info.size), info.mtime)

    def delete(self, name: str) -> None:
        self._files.delete_file(name)


class _FsspecStore:
    def __init__(self, io: Any, location: str) -> None:
        self._local = is_local(location)
        self._files = io.get_fs("file" if self._local else location.partition("://")[0])
        self._prefix = "" if self._local else location.removesuffix(self.name_of(location))

    def name_of(self, uri: str) -> str:
        if self._local:
            return os.path.realpath(local_path(uri))
        return str(self._files._strip_protocol(uri))

    def uri_of(self, name: str) -> str:
        return self._prefix + name

    def files(self, folder: str) -> Iterator[StoredFile]:
        found: dict[str, dict[str, Any]] = self._files.find(self.name_of(folder), detail=True)
        for path, told in found.items():
            name = os.path.realpath(path) if self._local else path
            yield StoredFile(name, int(told["size"] or 0), _instant(told))

    def delete(self, name: str) -> None:
        self._files.rm_file(name)


def _instant(told: dict[str, Any]) -> datetime | None:
    said = next((told[key] for key in _CHANGED if told.get(key) is not None), None)
    if isinstance(said, (int, float)):
        return datetime.fromtimestamp(said, UTC)
    return said if isinstance(said, datetime) else None
