"""What clients share: settings, a server, and whether they are closed."""

from __future__ import annotations

import ssl

from forebay.client.deadline import Deadline
from forebay.client.errors import ClosedError
from forebay.client.settings import Server, Settings


class BaseClient:
    """Looks feature vectors up on a forebay server.

    A forked process gets connections of its own, and a pickled client is unpickled as a new one
    with the same settings, its API key included.

    Args:
        url: the server's address, such as ``http://127.0.0.1:6566``; https is verified.
        timeout: seconds for a whole call: waiting for a connection, retries and pauses included.
            Only the system's look-up of the host's address may take longer.
        retries: further tries where no connection can be made or it breaks, where a proxy has no
            server, and where the server says when to come back (Retry-After). Lookups change
            nothing, so that one may be sent twice.
        api_key: sent as a bearer token.
        connections: open at most; further calls wait for one.
        tls: for https; by default what the system trusts. A client with one cannot be pickled.

    Raises:
        ForebayError: an argument is out of range.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 1.0,
        retries: int = 2,
        api_key: str | None = None,
        connections: int = 32,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._start(Settings(url, timeout, retries, api_key, connections, tls))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._server.url}>"

    def __getstate__(self) -> Settings:
        return self._settings

    def __setstate__(self, settings: Settings) -> None:
        self._start(settings)

    def _start(self, settings: Settings) -> None:
        self._settings = settings
        self._server = Server.of(settings)
        self._closed = False

    def _deadline(self, path: str, timeout: float | None = None) -> Deadline:
        settings = self._settings
        seconds = settings.timeout if timeout is None else timeout
        return Deadline(seconds, settings.retries, self._server.url + path)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(self._server.url)
