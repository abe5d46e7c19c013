"""Connections of an asynchronous client, kept open and shared by the tasks of one event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from forebay.client.deadline import Deadline
from forebay.client.http1 import Response
from forebay.client.idle import Idle
from forebay.client.settings import Server


class Connections:
    """Open connections to one server. Any number of tasks may exchange at once.

    Args:
        most: open at once; further exchanges wait for one.
    """

    def __init__(self, server: Server, most: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._server = server
        self._slots = asyncio.Semaphore(most)
        self._idle = Idle[_Connection]()

    async def exchange(self, request: bytes, deadline: Deadline) -> Response:
        """Send a request's bytes and wait for the response; the caller ends it at the deadline.

        A task that is cancelled closes its connection.

        Raises:
            OSError: no connection could be made, or it broke.
        """
        async with self._slots:
            kept = self._take()
            if kept is not None:
                response = Response()
                try:
                    return await self._on(kept, request, response)
                except OSError:
                    # The server had closed it, as it does when it restarts or a connection idles.
                    if response.begun:
                        raise
                    self._idle.drop()
            return await self._on(await self._connect(deadline), request, Response())

    def close(self) -> None:
        """Close all connections; those in use when their exchanges end."""
        self._idle.close()

    async def _on(self, connection: _Connection, request: bytes, response: Response) -> Response:
        """The exchange on one connection, which is kept only where it went well to its end."""
        reusable = False
        try:
            await connection.exchange(request, response)
            reusable = response.reusable
        finally:
            # Anything else may still bring bytes of this response, which the next would read.
            if not reusable:
                connection.close()
        self._idle.keep(connection)
        return response

    def _take(self) -> _Connection | None:
        """A connection that is still open, or None."""
        while (kept := self._idle.take()) is not None and kept.lost:
            pass
        return kept

    async def _connect(self, deadline: Deadline) -> _Connection:
        server, host = self._server, self._server.host
        name = None if server.tls is None else host
        found = await self.loop.getaddrinfo(host, server.port, type=socket.SOCK_STREAM)
        for tried, (family, _, _, _, address) in enumerate(found):
            try:
                # One address that does not answer must not use up the time of the others.
                async with asyncio.timeout(deadline.left() / (len(found) - tried)):
                    _, made = await self.loop.create_connection(
                        _Connection,
                        *address[:2],
                        family=family,
                        ssl=server.tls,
                        server_hostname=name,
                    )
                    return made
            except OSError:
                if tried == len(found) - 1:
                    raise
        raise OSError(f"{host} has no address")


class _Connection(asyncio.Protocol):
    """One connection, for one exchange at a time.

    Attributes:
        lost: it can carry no more.
    """

    def __init__(self) -> None:
        self.lost = False
        self._transport: asyncio.Transport | None = None
        self._response: Response | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def exchange(self, request: bytes, response: Response) -> None:
        """Send a request and fill the response. Raises OSError where the connection breaks."""
        transport = self._transport
        if self.lost or transport is None:
            raise response.ended()
        self._response = response
        self._waiter = asyncio.get_running_loop().create_future()
        transport.write(request)
        try:
            await self._waiter
        finally:
            self._response = self._waiter = None

    def close(self) -> None:
        """Close at once; bytes that are still to come are of no use."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are not asyncio's own class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response, waiter = self._response, self._waiter
        if response is None or waiter is None or waiter.done():
            self.close()  # nobody has asked
            return
        try:
            if response.feed(data):
                waiter.set_result(None)
        except OSError as error:
            self.close()
            waiter.set_exception(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        response, waiter = self._response, self._waiter
        if response is not None and waiter is not None and not waiter.done():
            waiter.set_exception(error if isinstance(error, OSError) else response.ended())
