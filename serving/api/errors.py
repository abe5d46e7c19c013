"""Errors as JSON: the same three parts that the command line prints."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_specs.errors import DataError, ForebayError, UnknownNameError
from serving.access.errors import (
    ForbiddenError,
    KeysUnavailableError,
    MisdirectedError,
    RateLimitedError,
    UnauthenticatedError,
)
from serving.lookup.errors import InvalidRequestError, NotReadyError
from serving.lookup.limits import OverloadedError, TooMuchError
from serving.stores import StoreDownError


class MalformedRequestError(ForebayError):
    """The request's body cannot be read at all."""


class TooLargeError(ForebayError):
    """The request's body is longer than the server takes."""


class NotAcceptableError(ForebayError):
    """The caller accepts no format that the answer can have."""


#: Seconds until a request that was refused for want of a store, or of room, is worth another try.
RETRY_AFTER_S = "1"

_BEARER = 'Bearer realm="forebay"'

#: The longest text of an error, in characters: callers get little of what they sent back.
_LONGEST = 800

#: The status of each error; the first class that fits counts.
STATUSES: tuple[tuple[type[ForebayError], int], ...] = (
    (UnauthenticatedError, 401),
    (ForbiddenError, 403),
    (MisdirectedError, 421),
    (MalformedRequestError, 400),
    (NotAcceptableError, 406),
    (TooLargeError, 413),
    (InvalidRequestError, 422),
    (UnknownNameError, 404),
    (DataError, 422),
    (TooMuchError, 413),
    (NotReadyError, 503),
    (StoreDownError, 503),
    (OverloadedError, 503),
    (KeysUnavailableError, 503),
    (RateLimitedError, 429),
)


def status_of(error: ForebayError) -> int:
    """The HTTP status of an error; 500 for one that the caller cannot fix."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def error_response(error: ForebayError) -> Response:
    """The error as JSON."""
    return JSONResponse(error_content(error), status_of(error), headers_of(error))


def page_error_response(error: ForebayError) -> Response:
    """The same for what a browser may ask for: it lets its user type a key as a password."""
    response = error_response(error)
    if isinstance(error, UnauthenticatedError):
        response.headers.append("www-authenticate", 'Basic realm="forebay", charset="UTF-8"')
    return response


def headers_of(error: ForebayError) -> dict[str, str]:
    """The headers of an error's response: one that passes says when to try again, and one for want
    of a key which kind is wanted."""
    if isinstance(error, UnauthenticatedError):
        return {"www-authenticate": _BEARER + (', error="invalid_token"' if error.sent else "")}
    if isinstance(error, RateLimitedError):
        return {"retry-after": str(error.retry_after_s)}
    if isinstance(error, StoreDownError | OverloadedError | KeysUnavailableError):
        return {"retry-after": RETRY_AFTER_S}
    return {}


def error_content(error: ForebayError) -> dict[str, Any]:
    """``{"error": {"what", "where", "hint"}, "detail": text}``."""
    parts = {"what": error.what, "where": str(error.where), "hint": error.hint}
    return {
        "error": {name: cut(text) for name, text in parts.items()},
        "detail": cut(str(error)),
    }


def cut(text: str) -> str:
    """At most so much of a text that callers are not sent back all that they sent."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


async def on_forebay_error(request: Request, error: Exception) -> Response:
    """Starlette's handler of ForebayError."""
    if not isinstance(error, ForebayError):
        raise error
    return error_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's handler of its own errors: an unknown path, a wrong method."""
    if not isinstance(error, HTTPException):
        raise error
    parts = {
        "what": error.detail,
        "where": f"{request.method} {request.url.path}",
        "hint": "POST /get-online-features or /v1/services/NAME/vectors, or GET /features, /health, "
        "/metrics or /",
    }
    detail = f"{parts['where']}: {error.detail}. Hint: {parts['hint']}"
    content = {"error": parts, "detail": detail}
    return JSONResponse(content, error.status_code, headers=error.headers)
