"""A server that answers as a test says, byte for byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import orjson

#: Answers one request on a connection; what it gives says whether the connection is kept.
Answer = Callable[[socket.socket], bool]


@dataclass
class Scripted:
    """Answers the requests that come with one answer of the script after another; the last stays.

    Attributes:
        requests: what came, in order.
        connections: how many were made.
    """

    script: Sequence[Answer]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while request := _read(connection):
                with self._lock:
                    answer = self.script[min(len(self.requests), len(self.script) - 1)]
                    self.requests.append(request)
                if not answer(connection):
                    return


def http(status: int, body: bytes, *fields: str) -> Answer:
    """A whole answer."""
    head = [f"HTTP/1.1 {status} Any", f"content-length: {len(body)}", *fields, "", ""]
    return sent("\r\n".join(head).encode() + body, keep=True)


def vectors(*values: int, type_name: str = "BIGINT") -> bytes:
    """The body of an answer with one feature."""
    rows = [[value] for value in values]
    return orjson.dumps({"features": ["v__x"], "types": [type_name], "vectors": rows, "absent": []})


def error(what: str) -> bytes:
    """The body of an error of the server."""
    return orjson.dumps({"error": {"what": what, "where": "here", "hint": "do that"}, "detail": ""})


def sent(data: bytes, *, keep: bool = False) -> Answer:
    """These bytes, after which the connection is closed unless it is kept."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(data)
        return keep

    return answer


def silence(until: threading.Event) -> Answer:
    """Nothing, until a test lets go."""

    def answer(connection: socket.socket) -> bool:
        until.wait()
        return False

    return answer


def drip(until: threading.Event) -> Answer:
    """An answer's head, byte by byte and without an end."""

    def answer(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        while not until.wait(0.01):
            connection.sendall(b"y")
        return False

    return answer


@contextmanager
def scripted(*script: Answer) -> Iterator[Scripted]:
    """A running server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Scripted(script, f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_accept, args=(listener, made), daemon=True).start()
        yield made
        # A thread that waits to accept would keep the socket open.
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, made: Scripted) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            made.connections += 1
            threading.Thread(target=made.serve, args=(connection,), daemon=True).start()


def _read(connection: socket.socket) -> bytes:
    """A whole request; empty where the client has left."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            return b""
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
