"""A folder of one run's own, of which a killed process leaves none for long."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

_LOCK = "lock"


@contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder, removed afterwards.

    Whoever makes one removes those of the same prefix whose processes were killed: their locks are
    free, on whatever machine or in whatever container they ran.
    """
    _remove_abandoned(parent, prefix)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as made:
        folder = Path(made)
        taken = folder / "taken"
        with taken.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            taken.replace(folder / _LOCK)  # it is looked for by this name, and never found free
            yield folder


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for lock in parent.glob(f"{escape(prefix)}*/{_LOCK}"):
        try:
            with lock.open("rb") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            continue  # in use, gone by now, or another user's
