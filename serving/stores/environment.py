"""An LMDB environment, shared by all stores of a process and growing as it fills.

LMDB allows one environment per folder in a process, to change its map size only while no transaction
is open there, and none of it to be used beyond a fork. All of that is kept here: an environment is
closed for the moment of a fork, and each of both processes opens it again when it needs it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lmdb

from feature_specs.errors import ForebayError

_FIRST_SIZE = 64 * 2**20
_MAX_READERS = 1022
#: Seconds that a fork waits for transactions to end.
_FORK_WAIT_S = 1.0
#: Bytes free below which a write that failed has failed for want of room.
_NO_ROOM = 4 * 2**20

_open: dict[Path, Environment] = {}
_open_lock = threading.Lock()


def share(folder: Path) -> Environment:
    """The process's environment of a folder; to be released as often as it was shared.

    Raises:
        ForebayError: the folder cannot be made or opened.
    """
    with _open_lock:
        path = folder.absolute()
        known = _open.get(path)
        if known is None:
            known = _open[path] = Environment(path)
        known.users += 1
        return known


class Environment:
    """Transactions on one folder. Reads never wait for a writer, only for the map to grow."""

    def __init__(self, folder: Path) -> None:
        self.users = 0
        self._folder = folder
        self._active = 0
        self._held = 0  # how many keep transactions from beginning
        self._inherited = False
        self._idle = threading.Condition()
        self._env: Any = None
        self._open()

    def _open(self) -> None:
        if self._inherited:
            # LMDB lets none be opened beside it, and to close it would free what the parent's
            # transactions hold.
            raise ForebayError(
                "this process was forked while the online store was read or written",
                where=str(self._folder),
                hint="fork between lookups, or start processes by spawn",
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(self._folder), map_size=_FIRST_SIZE, max_readers=_MAX_READERS, max_spare_txns=16
            )
        except (lmdb.Error, OSError) as error:
            raise ForebayError(
                f"cannot open the online store: {error}",
                where=str(self._folder),
                hint="name a folder that can be written, on a local disk",
            ) from error
        self._env.reader_check()

    def release(self) -> None:
        """Give the environment back; the last user's release closes it."""
        with _open_lock:
            self.users -= 1
            if self.users == 0:
                del _open[self._folder]
                self._close()

    def before_fork(self) -> None:
        """Close it once no transaction is open, and let none begin until `after_fork`."""
        self._idle.acquire()
        self._held += 1
        if self._idle.wait_for(lambda: self._active == 0, _FORK_WAIT_S):
            self._close()
        self._held -= 1

    def after_fork(self, *, child: bool) -> None:
        """Go on in one of both processes."""
        if child and self._env is not None:
            # The parent's must never be closed here, not even when this process ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._env))
            self._env, self._inherited = None, True
        self._idle.notify_all()
        self._idle.release()

    def _close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None

    def read(self) -> _Reading:
        """A read transaction: one moment of all the data."""
        return _Reading(self)

    @contextmanager
    def write(self) -> Iterator[Any]:
        """A write transaction, committed at the end unless the block raises."""
        self._enter()
        try:
            with self._begin(write=True) as txn:
                yield txn
        except lmdb.MapFullError:
            raise
        except lmdb.Error as error:
            raise OSError(self._fault(), f"LMDB: {error}", str(self._folder)) from error
        finally:
            self._leave()

    def commit(self, work: Callable[[Any], object]) -> None:
        """Run ``work(txn)`` in a write transaction; again, from the start, if the map was full."""
        while True:
            try:
                with self.write() as txn:
                    work(txn)
                return
            except lmdb.MapFullError:
                self._resize(double=True)

    def empty(self, txn: Any) -> None:
        """Remove every entry, in a write transaction."""
        txn.drop(self._env.open_db(txn=txn), delete=False)

    def _fault(self) -> int:
        """The number of a write's error: LMDB calls one without room an input/output error."""
        if shutil.disk_usage(self._folder).free < _NO_ROOM:
            return errno.ENOSPC
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY:
            return errno.EFBIG
        return errno.EIO

    def _begin(self, *, write: bool) -> Any:
        try:
            return self._env.begin(write=write)
        except lmdb.MapResizedError:
            # Another process has grown the map: wait until our own transactions end, then follow.
            self._leave()
            try:
                self._resize(double=False)
            finally:
                self._enter()
            return self._env.begin(write=write)

    def _resize(self, *, double: bool) -> None:
        with self._idle:
            # New transactions wait, or a busy server would never let the map grow.
            self._held += 1
            try:
                self._idle.wait_for(lambda: self._active == 0)
                if self._env is None:
                    self._open()  # closed by a fork meanwhile
                self._env.set_mapsize(self._env.info()["map_size"] * 2 if double else 0)
            finally:
                self._held -= 1
                self._idle.notify_all()

    def _enter(self) -> None:
        with self._idle:
            while self._held:
                self._idle.wait()
            if self._env is None:
                self._open()
            self._active += 1

    def _leave(self) -> None:
        with self._idle:
            self._active -= 1
            if not self._active:
                self._idle.notify_all()


class _Reading:
    """A read transaction as a context; one of contextlib's would cost as much as the reading."""

    __slots__ = ("_environment", "_txn")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def __enter__(self) -> Any:
        self._environment._enter()
        try:
            self._txn = self._environment._begin(write=False)
        except BaseException:
            self._environment._leave()
            raise
        return self._txn

    def __exit__(self, *_: object) -> None:
        self._txn.abort()
        self._environment._leave()


def _before_fork() -> None:
    _open_lock.acquire()
    for environment in _open.values():
        environment.before_fork()


def _after_fork(*, child: bool) -> None:
    for environment in _open.values():
        environment.after_fork(child=child)
    _open_lock.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=partial(_after_fork, child=False),
    after_in_child=partial(_after_fork, child=True),
)
