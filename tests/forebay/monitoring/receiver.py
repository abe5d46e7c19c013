"""A real HTTP receiver of alerts, which takes them, says no, says nothing, or says it too slowly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, TypeAlias

from tests.servers.loopback import listening

Manner: TypeAlias = Literal["takes", "refuses", "silent", "drips"]


class Receiver:
    """What was posted, path and JSON body, in order."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.posts: list[tuple[str, Any]] = []
        self.closing = threading.Event()
        self.url = ""

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        assert handler.headers["Content-Type"] == "application/json"
        self.posts.append((handler.path, json.loads(body)))
        if self.manner == "silent":
            self.closing.wait(30)
        elif self.manner == "drips":
            while not self.closing.wait(0.05):
                handler.wfile.write(b"H")
                handler.wfile.flush()
        else:
            handler.send_response(200 if self.manner == "takes" else 403)
            handler.end_headers()


@contextmanager
def receiver(manner: Manner = "takes") -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    kept = Receiver(manner)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                kept.take(self)
            except (BrokenPipeError, ConnectionResetError):
                time.sleep(0)  # the sender has gone

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on stderr."""

    with listening(Handler) as kept.url:
        try:
            yield kept
        finally:
            kept.closing.set()
