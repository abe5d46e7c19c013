"""Vectors of a project on this machine, without a server: the server's own code, in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar

from forebay.client.answer import read_vectors
from forebay.client.errors import ClosedError, too_late
from forebay.client.listing import Feature, Health, Service, read_features, read_services
from forebay.client.local_project import LocalProject
from forebay.client.loop_thread import LoopThread
from forebay.client.request import vector_requests
from forebay.client.values import Columns
from forebay.client.vectors import Vectors
from forebay.closing import Closing
from forebay.dbt_project.project import find_project

_Made = TypeVar("_Made")


class LocalClient(Closing):
    """Looks feature vectors up as `Client` does, without a server.

    It reads target/forebay/catalog.json and the online store. A project that is compiled anew is
    read anew by the next call, and rows that are synced are seen at once. Any number of threads may
    share one. One that is pickled is opened where it is unpickled, and a forked process opens its own.

    Args:
        path: the project's folder, or one inside it.

    Raises:
        ForebayError: there is no project, or it is not compiled or not synced yet.
    """

    _closed: bool
    _opened: _Opened

    def __init__(self, path: str | Path = ".") -> None:
        self._start(find_project(Path(path)).root)

    def vectors(
        self,
        features: str | Sequence[str],
        entities: Columns,
        *,
        request: Mapping[str, Any] | None = None,
        ages: bool = False,
        budget: float | None = None,
        timeout: float | None = None,
    ) -> Vectors:
        """As `Client.vectors`; without a time-out unless one is given."""
        requests = vector_requests(features, entities, request, ages, budget)
        replies = self._run(lambda project: project.answers(requests), timeout)
        return read_vectors(requests, replies, str(self._root))

    def services(self) -> list[Service]:
        """As `Client.services`."""
        return read_services(self._run(LocalProject.listing))

    def features(self) -> list[Feature]:
        """As `Client.features`."""
        return read_features(self._run(LocalProject.listing))

    def health(self) -> Health:
        """As `Client.health`."""
        return self._run(LocalProject.health)

    def close(self) -> None:
        """Release the store. Calls afterwards raise ClosedError; closing again does nothing."""
        with self._lock:
            was_closed, self._closed = self._closed, True
        if not was_closed and self._opened.pid == os.getpid():
            self._opened.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._root}>"

    def __getstate__(self) -> Path:
        return self._root

    def __setstate__(self, root: Path) -> None:
        self._start(root)

    def _start(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._closed = False
        self._opened = _Opened(root)
        self._inherited: _Opened | None = None

    def _run(
        self,
        work: Callable[[LocalProject], Coroutine[Any, Any, _Made]],
        timeout: float | None = None,
    ) -> _Made:
        opened = self._in_this_process()
        try:
            return opened.thread.run(work(opened.project), timeout)
        except TimeoutError:
            raise too_late(str(self._root), timeout or 0.0) from None
        except CancelledError:
            raise ClosedError(str(self._root)) from None

    def _in_this_process(self) -> _Opened:
        if self._opened.pid != os.getpid():
            self._lock = threading.Lock()  # a thread that was not forked may have held it
        with self._lock:
            if self._closed:
                raise ClosedError(str(self._root))
            if self._opened.pid != os.getpid():
                # Threads and connections do not outlive a fork. The parent's are not closed here.
                self._inherited, self._opened = self._opened, _Opened(self._root)
            return self._opened


class _Opened:
    """A project, and the thread that its lookups run in.

    Attributes:
        pid: the process that they are of.
    """

    def __init__(self, root: Path) -> None:
        self.pid = os.getpid()
        self.project = LocalProject(root)
        self.thread = LoopThread()

    def close(self) -> None:
        self.thread.close()
        self.project.close()
