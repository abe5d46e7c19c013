"""Clients that are slow, break off, send nonsense or are too many, at a real server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.sync import sync
from tests.serving.project import Project, carriers, instant, make_view

pytestmark = pytest.mark.slow

SERVER = """
import sys
from pathlib import Path
from feature_specs.catalog import load_catalog
from serving.http_protocol import ClientLimits
from serving.server import serve
limits = ClientLimits(
    headers_s=0.3, request_s=0.6, write_s=0.5, header_bytes=20_000, connections=20
)
serve(load_catalog(Path(sys.argv[1])), "127.0.0.1", int(sys.argv[2]), clients=limits)
"""
BODY = json.dumps({"features": ["delays:n"], "entities": {"carrier": ["AA"]}}).encode()
HEAD = b"POST /get-online-features HTTP/1.1\r\nhost: localhost\r\n"
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


@dataclass
class Server:
    port: int
    errors: Path

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port))
        made.settimeout(20)
        return made

    def is_well(self) -> bool:
        """It answers, and has said nothing of what clients did."""
        with httpx.Client(trust_env=False) as client:
            url = f"http://127.0.0.1:{self.port}/get-online-features"
            answer = client.post(url, content=BODY)
        said = self.errors.read_text()
        return answer.status_code == 200 and "Traceback" not in said and "Exception" not in said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = Project(tmp_path_factory.mktemp("slow"))
    view = make_view("delays")
    project.add(view)
    # An answer of it for many entities is longer than sockets' buffers.
    project.build(view, carriers({"AA": (0, 0.0)}), instant("07-01T00:00"))
    sync(project.catalog)
    with running(project) as made:
        yield made


@contextmanager
def running(project: Project) -> Iterator[Server]:
    script, catalog = project.folder / "server.py", project.folder / "catalog.json"
    script.write_text(SERVER)
    catalog.write_text(project.catalog.dumps())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    errors = project.folder / "stderr"
    command = [sys.executable, str(script), str(catalog), str(port)]
    with errors.open("wb") as said, subprocess.Popen(command, stderr=said) as process:
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield Server(port, errors)
        finally:
            process.terminate()
            process.wait()


def read_all(connection: socket.socket) -> bytes:
    """All until the server closes."""
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def read_answer(connection: socket.socket) -> bytes:
    """One whole answer of a lookup."""
    found = b""
    while not found.endswith(b"}]}"):
        part = connection.recv(65_536)
        if not part:
            break
        found += part
    return found


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"POST", b"HTTP/1.1 408 "),
        (HEAD, b"HTTP/1.1 408 "),
        (HEAD + b"x-slow: ", b"HTTP/1.1 408 "),
        (HEAD + b"content-length: 500\r\n\r\n" + BODY, b"HTTP/1.1 408 "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nabc", b"HTTP/1.1 408 "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 400 "),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"HTTP/1.1 400 "),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET http://[::x HTTP/1.1\r\nhost: localhost\r\n\r\n", b"HTTP/1.1 400 "),
        (b"CONNECT x:80 HTTP/1.1\r\nhost: localhost\r\n\r\n", b"HTTP/1.1 4"),
        (b"POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n", b"HTTP/1.1 400 "),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", b"HTTP/1.1 400 "),
    ],
)
def test_half_a_request_and_nonsense(server: Server, sent: bytes, answer: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        found = read_all(connection)
    assert found.startswith(answer) and (answer or not found)
    assert server.is_well()


def test_a_byte_now_and_then_is_not_enough(server: Server) -> None:
    with server.connect() as connection:
        sent = 0
        try:
            for byte in WHOLE[:-1]:
                connection.sendall(bytes([byte]))
                sent += 1
                time.sleep(0.05)
        except OSError:
            pass  # closed already
    assert sent < len(WHOLE) - 1
    assert server.is_well()


def test_headers_without_an_end(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD)
        try:
            for _ in range(100):
                connection.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")
                time.sleep(0.001)
            found = read_all(connection)
        except OSError:
            found = b"HTTP/1.1 431 "  # closed while we sent
    assert found.startswith(b"HTTP/1.1 431 ")
    assert server.is_well()


def test_requests_in_one_packet_and_over_many(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(WHOLE * 5)
        found = b""
        while found.count(b"HTTP/1.1 200 ") < 5:
            found += read_answer(connection)
        # The same connection again, in two parts.
        connection.sendall(WHOLE[:90])
        time.sleep(0.1)
        connection.sendall(WHOLE[90:])
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        # A connection that was used is not cut off for what came before.
        time.sleep(0.7)
        connection.sendall(WHOLE)
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_clients_that_leave(server: Server) -> None:
    for cut in (10, 60, len(WHOLE) - 5, len(WHOLE)):
        for _ in range(5):
            with server.connect() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(WHOLE[:cut])
    assert server.is_well()
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", trust_env=False).text
    assert 'forebay_requests_total{status="499"}' in text


def test_an_answer_that_nobody_reads(server: Server) -> None:
    body = json.dumps({"features": ["delays:n"], "entities": {"carrier": ["AA"] * 10_000}}).encode()
    request = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(40):
            try:
                connection.sendall(request)
            except OSError:
                break
        time.sleep(1.5)
        with pytest.raises(OSError):
            for _ in range(40):  # it was reset: what is read ends in an error
                connection.sendall(request)
    assert server.is_well()


def test_more_connections_than_a_worker_takes(server: Server) -> None:
    held = [server.connect() for _ in range(20)]
    try:
        for connection in held:
            connection.sendall(WHOLE)
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")
        with server.connect() as connection:
            found = read_all(connection)
        assert found.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in found
    finally:
        for connection in held:
            connection.close()
    for _ in range(200):
        try:
            assert server.is_well()
            return
        except (httpx.TransportError, AssertionError):
            time.sleep(0.05)
    pytest.fail("it does not answer any more")
