"""Refuse requests of web pages that had this machine's address as their own (DNS rebinding).

A server on loopback that asks for no key is kept from others by its address alone. A page in a browser
on this machine may be of a name whose address its owner changes to 127.0.0.1: to the browser the server
is then the page's own, and its answers may be read. But the browser says the page's name as the host.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.access.errors import MisdirectedError
from serving.api.errors import error_response

_KEPT = 1_000


class OwnHosts:
    """Answers only requests for this machine by its address, as localhost, or by one more name.

    Args:
        name: what the server was told to listen on.
    """

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app, self._name = app, name.lower()
        self._good: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for header, value in scope["headers"]:
                if header == b"host" and value not in self._good and not self._is_own(value):
                    await error_response(_refusal())(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _is_own(self, value: bytes) -> bool:
        own = is_own(value.decode("latin-1"), self._name)
        if own and len(self._good) < _KEPT:
            self._good.add(value)
        return own


def is_own(host: str, name: str) -> bool:
    """Whether a Host header means this machine, whatever names resolve to.

    Any address does: what a browser connects to by its address has no name that could change.

    >>> [is_own(host, "dev") for host in ("localhost:6566", "[::1]", "10.0.0.1:80", "dev")]
    [True, True, True, True]
    >>> is_own("127.0.0.1.example.com", "dev")
    False
    """
    plain = re.sub(r":\d*$", "", host.strip().lower()).removesuffix(".")
    if plain in ("localhost", name) or plain.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(plain.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _refusal() -> MisdirectedError:
    return MisdirectedError(
        "a server without keys answers on this machine to no other name than localhost",
        where="host",
        hint="ask for http://localhost or its address; behind a proxy, let it send such a Host, or "
        "start the server with keys or with --insecure",
    )
