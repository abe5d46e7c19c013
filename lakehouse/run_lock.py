"""One build of a project at a time, and no compilation that writes beneath a build."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from feature_specs.errors import ForebayError

#: Seconds between two tries.
PAUSE = 0.2
#: Lock files that this process holds: who holds one may ask for it again.
_HELD: set[Path] = set()


class HeldError(ForebayError):
    """Another process holds what this one needs; it may be waited for."""


@contextmanager
def hold_project(folder: Path, command: str, wait: float | None = None) -> Iterator[None]:
    """Be the only one to build a project or to write what was compiled, for a while.

    The lock is the operating system's: it ends with the process, however that ends.

    Args:
        folder: the project's target/forebay.
        command: what is being done, for whoever comes meanwhile.
        wait: for how many seconds to wait for another; None for not at all.

    Raises:
        HeldError: another process holds the project, still.
    """
    path = (folder / "lock").absolute()
    if path in _HELD:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        _acquire(file.fileno(), path, wait)
        file.truncate(0)
        file.write(f"`{command}`, process {os.getpid()}, since {datetime.now(UTC):%H:%M:%S} UTC")
        file.flush()
        _HELD.add(path)
        try:
            yield
        finally:
            _HELD.discard(path)
            file.truncate(0)


def _acquire(descriptor: int, path: Path, wait: float | None) -> None:
    deadline = time.monotonic() + (wait or 0)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = path.read_text() or "another forebay"
                raise HeldError(
                    f"{holder} is at work on this project",
                    where=str(path.parent.parent.parent),
                    hint="wait until it is done: `forebay build --wait` does",
                ) from None
        time.sleep(PAUSE)
