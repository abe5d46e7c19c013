"""Fetch a server once, start it in a data folder of its own, wait until it is ready, stop it by pid."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Where what is fetched stays between runs.
CACHE = Path(
    os.environ.get("FOREBAY_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forebay"
)


class ServerError(Exception):
    """A server that cannot be fetched or does not start; holds the end of its log."""


def fetch_once(name: str, fetch: Callable[[Path], None]) -> Path:
    """The cache's folder ``name``, filled by ``fetch(folder)`` unless a run before has done so.

    Safe when several processes ask at once; one that is killed midway leaves nothing that counts.
    """
    home = CACHE / "servers" / name
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir():
            partial = home.with_name(f"{name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fetch(partial)
            partial.rename(home)
    return home


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_jdk(version: int) -> Path:
    """The home of a JDK of that version: JAVA_HOME, or one where Debian puts them.

    Raises:
        ServerError: there is none.
    """
    installed = sorted(Path("/usr/lib/jvm").glob(f"*{version}*"))
    for home in [Path(os.environ.get("JAVA_HOME", "/none")), *installed]:
        release = home / "release"
        if release.exists() and f'JAVA_VERSION="{version}.' in release.read_text():
            return home
    raise ServerError(f"no JDK {version}: install it, for example openjdk-{version}-jdk-headless")


def start(
    command: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server that logs to ``folder/server.log`` and ends with the process that started it."""
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path, seconds: float = 180
) -> None:
    """Wait for ``ready()``.

    Raises:
        ServerError: the process ended, or the time did.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            log = (folder / "server.log").read_text(errors="replace")
            said = "ended" if process.poll() is not None else f"is not ready after {seconds} s"
            raise ServerError(f"the server {said}: {log[-4000:]}")
        time.sleep(0.1)


def listens(port: int) -> bool:
    """Whether a server takes connections on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def stop(process: subprocess.Popen[Any], seconds: float = 20) -> None:
    """End a server that leads a process group, and all that it started: politely, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
