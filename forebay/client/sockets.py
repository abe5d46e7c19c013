"""Connections of a client that blocks: sockets that are kept open, and shared by its threads."""

from __future__ import annotations

import socket
import threading

from forebay.client.deadline import Deadline
from forebay.client.http1 import READ_SIZE, Response
from forebay.client.idle import Idle
from forebay.client.settings import Server


class Connections:
    """Open connections to one server. Any number of threads may exchange at once.

    Args:
        most: open at once; further exchanges wait for one.
    """

    def __init__(self, server: Server, most: int) -> None:
        self._server = server
        self._slots = threading.BoundedSemaphore(most)
        self._idle = Idle[socket.socket]()

    def exchange(self, request: bytes, deadline: Deadline) -> Response:
        """Send a request's bytes and wait for the response.

        Raises:
            OSError: no connection could be made, or it broke; TimeoutError where the time is up.
            UnavailableError: the time is up.
        """
        if not self._slots.acquire(timeout=deadline.left()):
            raise deadline.passed()
        try:
            kept = self._idle.take()
            if kept is not None:
                response = Response()
                try:
                    return self._on(kept, request, response, deadline)
                except TimeoutError:
                    raise
                except OSError:
                    # The server had closed it, as it does when it restarts or a connection idles.
                    if response.begun:
                        raise
                    self._idle.drop()
            return self._on(self._connect(deadline), request, Response(), deadline)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close all connections; those in use when their exchanges end."""
        self._idle.close()

    def _on(
        self, connection: socket.socket, request: bytes, response: Response, deadline: Deadline
    ) -> Response:
        """The exchange on one connection, which is kept only where it went well to its end."""
        reusable = False
        try:
            connection.settimeout(deadline.left())
            connection.sendall(request)
            while not response.done:
                connection.settimeout(deadline.left())
                data = connection.recv(READ_SIZE)
                if not data:
                    raise response.ended()
                response.feed(data)
            reusable = response.reusable
        finally:
            # Anything else may still bring bytes of this response, which the next would read.
            if not reusable:
                connection.close()
        self._idle.keep(connection)
        return response

    def _connect(self, deadline: Deadline) -> socket.socket:
        server = self._server
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        for tried, (family, kind, protocol, _, address) in enumerate(found):
            made = socket.socket(family, kind, protocol)
            try:
                # One address that does not answer must not use up the time of the others.
                made.settimeout(deadline.left() / (len(found) - tried))
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if server.tls is None:
                    return made
                made.settimeout(deadline.left())
                return server.tls.wrap_socket(made, server_hostname=server.host)
            except OSError:
                made.close()
                if tried == len(found) - 1:
                    raise
            except BaseException:
                made.close()
                raise
        raise OSError(f"{server.host} has no address")
