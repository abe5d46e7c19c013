"""Errors as JSON: the same three parts that the command line prints."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from feature_specs.errors import DataError, ForebayError, UnknownNameError


class MalformedRequestError(ForebayError):
    """The request's body cannot be read at all."""


class InvalidRequestError(ForebayError):
    """The request reads well but asks for what cannot be."""


class TooLargeError(ForebayError):
    """The request's body is longer than the server takes."""


class NotReadyError(ForebayError):
    """The online store does not hold what the catalog describes."""


#: The status of each error; the first class that fits counts.
STATUSES: tuple[tuple[type[ForebayError], int], ...] = (
    (MalformedRequestError, 400),
    (TooLargeError, 413),
    (InvalidRequestError, 422),
    (UnknownNameError, 404),
    (DataError, 422),
    (NotReadyError, 503),
)


def status_of(error: ForebayError) -> int:
    """The HTTP status of an error; 500 for one that the caller cannot mend."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def error_response(error: ForebayError) -> Response:
    """The error as JSON: ``{"error": {"what", "where", "mend"}, "detail": text}``."""
    parts = {"what": error.what, "where": str(error.where), "mend": error.mend}
    return JSONResponse({"error": parts, "detail": str(error)}, status_of(error))


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
        "mend": "POST /get-online-features, or GET /features, /health, /metrics or /",
    }
    detail = f"{parts['where']}: {error.detail}. Hint: {parts['mend']}"
    content = {"error": parts, "detail": detail}
    return JSONResponse(content, error.status_code, headers=error.headers)
