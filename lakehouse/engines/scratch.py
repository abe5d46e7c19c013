"""Tables of one run on another engine, dropped at its end, and by a later run if it was killed.

A table's name says whose it is: of which machine, process and run. A run of this machine is dead
once its process is. One of another machine is once it has not renewed its lease for an hour.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog import Catalog as Lake
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError

from feature_specs.errors import ForebayError
from lakehouse.commit import commit_rows
from lakehouse.engines.sql_engine import SqlEngine

#: The namespace of such tables.
NAMESPACE = "forebay_scratch"
_LEASE, _RENEWED = "lease", "forebay.renewed_at"
#: Seconds between renewals of a lease, and after which it has run out.
RENEW, EXPIRE = 300.0, 3600.0
_NAME = re.compile(r"run_([0-9a-f]{8})_(\d+)_(\d+)_([0-9a-f]{8})_(\w+)")


def this_machine() -> str:
    """The machine whose process ids are ours: its name, this boot of it, this set of processes."""
    parts = [socket.gethostname(), str(Path("/proc/self/ns/pid").stat().st_ino) if _PROC else ""]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    return hashlib.blake2b("/".join(parts).encode(), digest_size=4).hexdigest()


_PROC = Path("/proc/self/ns/pid").exists()


def started(pid: int) -> int | None:
    """When a process started, in ticks since boot; None if there is no such process, or no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])


class Scratch:
    """The tables of one run.

    Attributes:
        run: what their names begin with.
    """

    def __init__(self, lake: Lake) -> None:
        pid = os.getpid()
        self.run = f"run_{this_machine()}_{pid}_{started(pid) or 0}_{secrets.token_hex(4)}"
        self._lake = lake
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    def name(self, what: str) -> str:
        """The dotted name of a table of this run."""
        return f"{NAMESPACE}.{self.run}_{what}"

    def open(self) -> None:
        """Take the lease, which is renewed until `drop_all`."""
        self._renew()
        self._renewer = threading.Thread(target=self._keep, daemon=True)
        self._renewer.start()

    def drop_all(self, engine: SqlEngine) -> None:
        """Drop what the run made; the lease last, since it says that the run is alive."""
        self._over.set()
        if self._renewer is None:
            return
        self._renewer.join()
        self._renewer = None
        _drop(self._lake, engine, self.run)

    def _renew(self) -> None:
        rows = pa.table({"at": pa.array([], pa.int64())})
        properties = {_RENEWED: str(int(time.time()))}
        commit_rows(self._lake, self.name(_LEASE), rows, mode="append", properties=properties)

    def _keep(self) -> None:
        while not self._over.wait(RENEW):
            with suppress(ForebayError, CommitFailedException, OSError):
                self._renew()  # the next one may succeed; there is time for a dozen


def drop_dead(lake: Lake, engine: SqlEngine) -> list[str]:
    """Drop the tables of runs that were killed, and end their statements. Returns those runs."""
    dead = [run for run, names in _runs(lake).items() if _is_dead(lake, run, names)]
    for run in dead:
        engine.kill_of(run)
        _drop(lake, engine, run)
    return dead


def _runs(lake: Lake) -> dict[str, list[str]]:
    """The runs that have tables, with the last parts of these tables' names."""
    found: dict[str, list[str]] = {}
    for name in _tables(lake):
        match = _NAME.fullmatch(name)
        if match is not None:
            found.setdefault(name.removesuffix(f"_{match[5]}"), []).append(match[5])
    return found


def _tables(lake: Lake) -> Iterator[str]:
    with suppress(NoSuchNamespaceError):
        yield from (identifier[-1] for identifier in lake.list_tables(NAMESPACE))


def _is_dead(lake: Lake, run: str, names: list[str]) -> bool:
    machine, pid, since = run.split("_")[1:4]
    if machine == this_machine() and _PROC:
        return started(int(pid)) != int(since)
    if _LEASE not in names:
        return True  # it is taken first and given back last
    try:
        table = lake.load_table(f"{NAMESPACE}.{run}_{_LEASE}")
    except (NoSuchTableError, FileNotFoundError):
        return False  # it has just been given back
    return time.time() - int(table.properties.get(_RENEWED, 0)) > EXPIRE


def _drop(lake: Lake, engine: SqlEngine, run: str) -> None:
    """Drop a run's tables with their files; the lease last.

    The engine knows best which files are a table's; where it cannot be asked, the catalog does it.
    """
    names = [name for name in _tables(lake) if name.startswith(f"{run}_")]
    for name in sorted(names, key=lambda name: name.endswith(f"_{_LEASE}")):
        with suppress(ForebayError):
            engine.run(engine.names.drop(f"{NAMESPACE}.{name}"))
        with suppress(NoSuchTableError, FileNotFoundError):
            lake.purge_table(f"{NAMESPACE}.{name}")
