"""An LMDB environment, shared by all stores of a process and growing as it fills.

LMDB allows one environment per folder in a process, and to change its map size only while no
transaction is open there. Both rules are kept here.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from feature_specs.errors import ForebayError

_FIRST_SIZE = 64 * 2**20
_MAX_READERS = 1022
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
        if known is None or known.forked():
            known = _open[path] = Environment(path)
        known.users += 1
        return known


class Environment:
    """Transactions on one folder. Reads never wait for a writer, only for the map to grow."""

    def __init__(self, folder: Path) -> None:
        self.users = 0
        self._folder = folder
        self._pid = os.getpid()
        self._active = 0
        self._resizing = 0
        self._idle = threading.Condition()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(folder), map_size=_FIRST_SIZE, max_readers=_MAX_READERS, max_spare_txns=16
            )
        except (lmdb.Error, OSError) as error:
            raise ForebayError(
                f"cannot open the online store: {error}",
                where=str(folder),
                mend="name a folder that can be written, on a local disk",
            ) from error
        self._env.reader_check()

    def forked(self) -> bool:
        """Whether this was opened by the parent of this process: LMDB does not survive a fork."""
        return os.getpid() != self._pid

    def release(self) -> None:
        """Give the environment back; the last user's release closes it."""
        with _open_lock:
            self.users -= 1
            if self.users == 0 and not self.forked():
                del _open[self._folder]
                self._env.close()

    @contextmanager
    def read(self) -> Iterator[Any]:
        """A read transaction: one moment of all the data."""
        self._enter()
        try:
            with self._begin(write=False) as txn:
                yield txn
        finally:
            self._leave()

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
            self._resizing += 1
            try:
                self._idle.wait_for(lambda: self._active == 0)
                self._env.set_mapsize(self._env.info()["map_size"] * 2 if double else 0)
            finally:
                self._resizing -= 1
                self._idle.notify_all()

    def _enter(self) -> None:
        with self._idle:
            self._idle.wait_for(lambda: self._resizing == 0)
            self._active += 1

    def _leave(self) -> None:
        with self._idle:
            self._active -= 1
            if not self._active:
                self._idle.notify_all()
