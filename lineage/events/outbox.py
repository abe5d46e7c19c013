"""A bounded queue of events and the thread that delivers them, so that no job waits for a receiver."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lineage.events.encode_event import Event, encode_event
from lineage.events.hide_secrets import hide_secrets

#: So many events wait; what comes beyond is dropped.
LIMIT = 1_000
#: So many are handed over at once.
_BATCH = 50


class Receiver(Protocol):
    """What takes events."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def send(self, events: Sequence[str]) -> None:
        """Deliver events, each as a JSON text, in order. Raises ReceiverError or OSError."""
        ...


class ReceiverError(Exception):
    """A receiver did not take events.

    Attributes:
        delivered: how many of them it had taken by then.
    """

    def __init__(self, reason: str, delivered: int = 0) -> None:
        super().__init__(reason)
        self.delivered = delivered


@dataclass(frozen=True)
class Lost:
    """How many events were not delivered, and why."""

    dropped: int
    of: int
    receiver: str
    reason: str

    def line(self) -> str:
        """In one line, for people."""
        reason = hide_secrets(" ".join(self.reason.split()))[:200]
        return (
            f"OpenLineage: {self.dropped} of {self.of} events were dropped, "
            f"{hide_secrets(self.receiver)} did not take them: {reason}"
        )


class Outbox:
    """Accepts events without blocking, and delivers them in order.

    Args:
        open_receiver: called on the thread, since it may import and connect.
        producer: called there too: the producer of the events.
    """

    def __init__(
        self,
        open_receiver: Callable[[], Receiver],
        producer: Callable[[], str],
        limit: int = LIMIT,
    ) -> None:
        self._open, self._producer, self._limit = open_receiver, producer, limit
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._given = self._delivered = 0
        self._receiver, self._reason = "the receiver", "it is too slow"
        self._failing = False
        self._thread: threading.Thread | None = None

    def put(self, event: Event) -> None:
        """Enqueue an event; drop it if the queue is full."""
        with self._changed:
            self._given += 1
            if self._closed or len(self._waiting) >= self._limit:
                return
            self._waiting.append(event)
            if self._thread is None:
                # A daemon: a receiver that hangs keeps no process alive.
                self._thread = threading.Thread(target=self._run, name="openlineage", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, wait: float) -> Lost | None:
        """Stop accepting, and wait at most ``wait`` seconds for delivery.

        A receiver that has failed already is not waited for. Returns what was dropped.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._changed.acquire()
            try:
                self._changed.wait_for(self._is_done, wait)
            finally:
                self._changed.release()
        with self._changed:
            dropped = self._given - self._delivered
            self._waiting.clear()
            if not dropped:
                return None
            return Lost(dropped, self._given, self._receiver, self._reason)

    def _is_done(self) -> bool:
        return self._failing or self._delivered == self._given or not self._alive()

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        receiver: Receiver | None = None
        while batch := self._next():
            try:
                if receiver is None:
                    receiver = self._open()
                    self._receiver = receiver.name
                producer = self._producer()
                texts = [_text(encode_event(event, producer)) for event in batch]
                receiver.send(texts)
            except (ReceiverError, OSError) as error:
                self._note(getattr(error, "delivered", 0), str(error) or type(error).__name__)
            else:
                self._note(len(batch), None)

    def _next(self) -> list[Event]:
        """What is to be delivered next; empty once nothing will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            count = min(_BATCH, len(self._waiting))
            return [self._waiting.popleft() for _ in range(count)]

    def _note(self, delivered: int, failure: str | None) -> None:
        with self._changed:
            self._delivered += delivered
            self._failing = failure is not None
            if failure is not None:
                self._reason = failure
            self._changed.notify_all()


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"), default=str)
