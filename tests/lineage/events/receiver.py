"""A small HTTP receiver of events, which may be slow or broken."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.servers.loopback import listening


@dataclass
class HttpReceiver:
    """What came in at ``url``.

    Attributes:
        status: what it answers.
        go_on: it answers once this is set.
    """

    url: str = ""
    status: int = 201
    events: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def http_receiver(status: int = 201, *, hangs: bool = False) -> Iterator[HttpReceiver]:
    """Listen on loopback until the end.

    Args:
        hangs: whether it takes requests and answers none.
    """
    made = HttpReceiver(status=status)
    if not hangs:
        made.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.headers.append(dict(self.headers))
            made.go_on.wait(60)
            if status < 300:
                made.events.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    with listening(Handler) as made.url:
        try:
            yield made
        finally:
            made.go_on.set()
