"""Folders for what DuckDB's sort spills."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.own_folder import own_folder


@contextmanager
def spill_folder() -> Iterator[Path]:
    """A folder under the system's one for temporary files ($TMPDIR), removed afterwards."""
    with own_folder(Path(tempfile.gettempdir()), "forebay-sync-") as folder:
        yield folder
