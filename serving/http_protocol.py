"""uvicorn's HTTP protocol with bounds on what a client may keep waiting, or fill.

uvicorn itself times idle connections only: a client that sends half a request, or does not read its
answer, keeps a connection and its buffers for ever.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from asyncio import Transport
from asyncio.events import TimerHandle
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.api.endpoint import ARRIVED
from serving.tls import Renewal, Tls


@dataclass(frozen=True)
class ClientLimits:
    """What clients may take, in seconds and numbers.

    Attributes:
        headers_s: for a request's headers, from their first byte, or from the connection on.
        request_s: for a whole request, from its first byte.
        write_s: for reading a part of an answer.
        header_bytes: of a request whose headers do not come at once.
        connections: of one worker.
    """

    headers_s: float = 10.0
    request_s: float = 30.0
    write_s: float = 30.0
    header_bytes: int = 64 * 2**10
    connections: int = 5_000


CLIENT_LIMITS = ClientLimits()

#: How often the certificate's files are looked at, in seconds.
RENEW_S = 5


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration with limits of clients, and TLS whose certificate may be renewed."""

    def __init__(
        self, app: Any, *, clients: ClientLimits, tls: Tls | None = None, **options: Any
    ) -> None:
        self.clients = clients
        self._tls = tls
        if tls is not None:
            options |= {"callback_notify": self._renew, "timeout_notify": RENEW_S}
            options |= {"ssl_context_factory": self._make_context}
        super().__init__(app, http=BoundedProtocol, ws="none", **options)

    def _make_context(self, config: object, default: object) -> ssl.SSLContext:
        if self._tls is None:
            raise TypeError("there is no TLS")
        self._renewal = Renewal(self._tls)
        return self._renewal.context

    async def _renew(self) -> None:
        await asyncio.to_thread(self._renewal.look)


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that wait for their client for too long."""

    _deadline: TimerHandle | None = None
    _write_deadline: TimerHandle | None = None
    _pending: object = None
    _answered: RequestResponseCycle | None = None
    _started = 0.0
    _header_bytes = 0

    @property
    def _limits(self) -> ClientLimits:
        if not isinstance(self.config, ServerConfig):
            raise TypeError("BoundedProtocol goes with ServerConfig")
        return self.config.clients

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse(b"503 Service Unavailable", b"retry-after: 1\r\n")
        else:
            self._wait_for_more(self._limits.headers_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_whole():
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        elif not self.transport.is_closing():
            self._waits(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._write_deadline):
            if timer is not None:
                timer.cancel()
        self._leave_unanswered()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_deadline is None:
            self._write_deadline = self.loop.call_later(self._limits.write_s, self._abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        scope[ARRIVED] = time.perf_counter()
        super()._start_asgi_task(cycle, app)

    def _is_whole(self) -> bool:
        """Whether no part of a request is missing."""
        cycle = self.cycle
        return cycle is not None and cycle.scope is self.scope and not cycle.more_body

    def _headers_are_whole(self) -> bool:
        return self.cycle is not None and self.cycle.scope is self.scope

    def _waits(self, received: int) -> None:
        """A part of a request has come, and not all of it."""
        if self._pending is not self.scope or self._deadline is None:
            if self._deadline is not None:
                self._deadline.cancel()
            self._pending, self._header_bytes = self.scope, 0
            self._wait_for_more(self._limits.headers_s)
        if not self._headers_are_whole():
            self._header_bytes += received
            if self._header_bytes > self._limits.header_bytes:
                self._refuse(b"431 Request Header Fields Too Large")

    def _wait_for_more(self, seconds: float) -> None:
        self._started = self.loop.time()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or self._is_whole():
            return
        left = self._started + self._limits.request_s - self.loop.time()
        if self._headers_are_whole() and left > 0:
            self._deadline = self.loop.call_later(left, self._expire)
        elif self.scope is None:
            self.transport.close()  # it never sent anything
        else:
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes, headers: bytes = b"") -> None:
        """Answer outside of the application, unless an answer is under way, and close."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 %s\r\n%scontent-length: 0\r\nconnection: close\r\n\r\n"
                % (status, headers)
            )
        self.transport.close()

    def _abort(self) -> None:
        self._leave_unanswered()
        self.transport.abort()

    def _leave_unanswered(self) -> None:
        """Tell the request in work that nobody waits, and begin none of those that wait behind it.

        uvicorn tells the last request that came, which with pipelining is another one.
        """
        self.pipeline.clear()
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()
