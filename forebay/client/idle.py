"""Connections that wait to be used again."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar


class _Closes(Protocol):
    def close(self) -> None: ...


_Connection = TypeVar("_Connection", bound=_Closes)


class Idle(Generic[_Connection]):
    """A stack of open connections that nobody uses, for any number of threads.

    The last one used is the first one used again, so that those not needed grow idle.
    """

    def __init__(self) -> None:
        self._kept: deque[_Connection] = deque()
        self._closed = False

    def take(self) -> _Connection | None:
        """The connection used last, or None."""
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def keep(self, connection: _Connection) -> None:
        """Put a connection back; it is closed where all are."""
        self._kept.append(connection)
        if self._closed:
            self.drop()

    def drop(self) -> None:
        """Close the connections that nobody uses."""
        while (kept := self.take()) is not None:
            kept.close()

    def close(self) -> None:
        """Close them, and each that is put back later."""
        self._closed = True
        self.drop()
