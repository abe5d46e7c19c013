"""Put the hash of a training set's rows into its file's own footer, once the rows are written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_specs.errors import DataError, reworded
from feature_specs.library_errors import explain, known_errors
from lakehouse.content_hash import UNKNOWN, hash_file
from lakehouse.own_folder import own_folder

_MAGIC = b"PAR1"


@contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """A file to write in the place of another one, which it replaces at the end, if all went well.

    Each writer has a file of its own: of two at once the later one's rows are there, whole. More
    files may be made beside it; all are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with own_folder(path.parent, f".{path.name}.making-") as folder:
        staged = folder / "rows"
        try:
            yield staged
            staged.replace(path)
        except known_errors() as error:
            raise reworded(explain(error), str(staged), str(path)) from error


def seal(path: Path) -> str:
    """Hash a Parquet file's rows, and put that where its footer says UNKNOWN. Returns the hash.

    Both are 64 letters, so that nothing in the footer moves.
    """
    found = hash_file(path)
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        length, magic = int.from_bytes(file.read(4), "little"), file.read(4)
        start = file.seek(-8 - length, os.SEEK_END)
        footer = file.read(length)
        if magic != _MAGIC or footer.count(UNKNOWN.encode()) < 1:
            raise DataError(
                "its footer has no place for the hash of its rows",
                where=str(path),
                hint="write it again; nothing was replaced",
            )
        file.seek(start)
        file.write(footer.replace(UNKNOWN.encode(), found.encode()))
    return found
