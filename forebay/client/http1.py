"""An HTTP/1.1 response, read from bytes as they come; shared by threads' and event loops' clients.

A lookup takes the server about 100 us. httpx takes 470 us of CPU a call and its asynchronous client
1,170 us, the same bytes over a socket and httptools' parser under a fifth of that
(benchmarks/client_overhead.py); and a lookup needs neither redirects nor cookies nor proxies.
"""

from __future__ import annotations

from datetime import datetime

import httptools

from feature_specs.deprecation import HEADER, read_deprecation

#: Bytes that are read at once.
READ_SIZE = 256 * 1024


class BrokenResponseError(OSError):
    """The connection ended within a response, or what came is not HTTP."""


class Response:
    """Collects one response.

    Attributes:
        done: all of it is there.
        begun: some of it is there.
        retry_after: seconds, where the server says so.
        deprecated: since when what was read is, where the server says so.
        reusable: the connection may carry another request.
    """

    def __init__(self) -> None:
        self.done = self.begun = self.reusable = False
        self.status = 0
        self.retry_after: float | None = None
        self.deprecated: datetime | None = None
        self._chunks: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    @property
    def body(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def feed(self, data: bytes) -> bool:
        """Take bytes; whether the response is done. Raises BrokenResponseError."""
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise BrokenResponseError(f"not HTTP: {error}") from error
        return self.done

    def ended(self) -> BrokenResponseError:
        """The error of a connection that was closed before the response was done."""
        return BrokenResponseError("the connection was closed before the answer came")

    def on_message_begin(self) -> None:
        # Bytes after the response belong to no request: nothing on that connection can be trusted.
        if self.done:
            raise BrokenResponseError("more bytes than the answer has")

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == HEADER:
            self.deprecated = read_deprecation(value)
        elif lower == b"retry-after":
            text = value.decode("latin-1").strip()
            self.retry_after = float(text) if text.isdigit() else None

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # an interim response: the real one follows
            return
        self.status = status
        self.reusable = self._parser.should_keep_alive()
        self.done = True
