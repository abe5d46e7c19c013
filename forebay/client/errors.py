"""What a lookup through a client can fail with, beyond what the server says of the request."""

from __future__ import annotations

import os
from typing import Any

import orjson

from feature_specs.errors import ForebayError, UnknownNameError
from forebay.client.http1 import Response
from serving.lookup.errors import InvalidRequestError, NotReadyError

_BUSY, _UNAVAILABLE, _BAD_GATEWAY, _GATEWAY_TIMEOUT = 429, 503, 502, 504


class UnavailableError(ForebayError):
    """No answer from the server: it cannot be reached, is too busy, or takes too long."""


class AccessError(ForebayError):
    """The server wants an API key, or another one."""


class ClosedError(ForebayError):
    """A client was used after it was closed."""

    def __init__(self, where: str) -> None:
        super().__init__(
            "this client is closed", where=where, hint="call it inside its `with`, or make another"
        )


#: The class of the server's errors by HTTP status.
_CLASSES: dict[int, type[ForebayError]] = {
    400: InvalidRequestError,
    401: AccessError,
    403: AccessError,
    404: UnknownNameError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    _UNAVAILABLE: NotReadyError,
}


def error_class(status: int, passes: bool) -> type[ForebayError]:
    """The class of an error of the server.

    Args:
        passes: the server says when to come back.
    """
    return UnavailableError if passes else _CLASSES.get(status, UnavailableError)


def error_of(response: Response, url: str) -> ForebayError:
    """The error that a response tells.

    Args:
        url: what was asked, for answers that are not forebay's.
    """
    parts = _parts(response.body)
    if parts is None:
        return UnavailableError(
            f"HTTP status {response.status} instead of forebay's answer",
            where=url,
            hint="name the address of `forebay serve`, and see what stands before it",
        )
    kind = error_class(response.status, response.retry_after is not None)
    return kind(parts["what"], where=parts["where"], hint=parts["hint"])


def may_pass(response: Response) -> bool:
    """Whether it is worth another try: a proxy had no server, or the server says when."""
    if response.status in (_BUSY, _UNAVAILABLE):
        return response.retry_after is not None
    return response.status in (_BAD_GATEWAY, _GATEWAY_TIMEOUT)


def unreachable(error: OSError, url: str) -> UnavailableError:
    """The error of a connection that could not be made, or broke."""
    reason = error.strerror or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and error.errno:
        reason = os.strerror(error.errno)  # asyncio has words of its own
    return UnavailableError(
        f"the server cannot be reached: {reason}",
        where=url,
        hint="start `forebay serve`, or name its address",
    )


def too_late(url: str, timeout: float) -> UnavailableError:
    """The error of a call whose time is up."""
    return UnavailableError(
        f"no answer within {timeout:g} s", where=url, hint="allow more by timeout=, or ask for less"
    )


def _parts(body: bytes) -> dict[str, str] | None:
    try:
        raw: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = raw.get("error") if isinstance(raw, dict) else None
    if not isinstance(error, dict):
        return None
    parts = {name: str(error.get(name, "")) for name in ("what", "where", "hint")}
    return parts if parts["what"] else None
