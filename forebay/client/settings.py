"""Where a client's server is, and how it is asked."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from feature_specs.errors import ForebayError

_URL_HINT = 'write such as "http://127.0.0.1:6566" or "https://features.example.com"'


@dataclass(frozen=True)
class Settings:
    """What a client was made with; its own pickled form.

    Attributes:
        url: the server's address, with a path before the API's where a proxy has one.
        timeout: seconds for a whole call, its retries included.
        retries: further tries after the first.
        api_key: sent as a bearer token; None sends none.
        connections: open to the server at most.
        tls: for https; None trusts what the system does.
    """

    url: str
    timeout: float
    retries: int
    api_key: str | None = field(repr=False)
    connections: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _require(self.timeout > 0, "timeout", "more than 0 seconds")
        _require(self.retries >= 0, "retries", "0 or more")
        _require(self.connections >= 1, "connections", "1 or more")
        key = self.api_key
        _require(key is None or (key.isascii() and key.isprintable()), "api_key", "printable ASCII")


@dataclass(frozen=True)
class Server:
    """A server's address, taken apart, and the head of every request to it.

    Attributes:
        host, port: to connect to.
        tls: None for http.
    """

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    _path: str
    _fields: str = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Server:
        """Raises ForebayError unless the address is valid."""
        url = settings.url.rstrip("/")
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        try:
            port = (443 if secure else 80) if parts.port is None else parts.port
        except ValueError:
            port = 0
        host = parts.hostname
        plain = url.isascii() and url.isprintable() and " " not in url
        wrong = parts.username is not None or parts.query or parts.fragment
        if parts.scheme not in ("http", "https") or not host or not port or wrong or not plain:
            shown = re.sub("//.*@", "//", settings.url)
            raise ForebayError(
                f"{shown!r} is not the address of a server", where="url", hint=_URL_HINT
            )
        tls = (settings.tls or ssl.create_default_context()) if secure else None
        fields = f"host: {parts.netloc}\r\nuser-agent: forebay-client\r\n"
        if settings.api_key is not None:
            fields += f"authorization: Bearer {settings.api_key}\r\n"
        return cls(url, host, port, tls, parts.path, fields)

    def get(self, path: str) -> bytes:
        """A GET request's bytes."""
        return f"GET {self._path}{path} HTTP/1.1\r\n{self._fields}\r\n".encode()

    def post(self, path: str, body: bytes) -> bytes:
        """The bytes of a POST of JSON."""
        head = (
            f"POST {self._path}{path} HTTP/1.1\r\n{self._fields}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def _require(holds: bool, name: str, must_be: str) -> None:
    if not holds:
        raise ForebayError(f"{name} must be {must_be}", where=name, hint="name another value")
