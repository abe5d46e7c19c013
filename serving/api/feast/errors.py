"""Errors as Feast's own client reads them, beside the form that all endpoints share.

Feast's client raises the exception that a body names as ``{"module", "class", "message"}``, if the
body is a JSON *string* that holds that object. So whoever sends what only that client sends gets such
a string; all others get the object itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from feature_specs.errors import ForebayError, UnknownNameError
from serving.access.errors import ForbiddenError
from serving.api.errors import cut, error_content, headers_of, status_of
from serving.lookup.errors import InvalidRequestError, MissingValueError

#: A field that Feast's client always sends; hardly anybody else does.
VERSIONS_FIELD = "include_feature_view_version_metadata"

_MODULE = "feast.errors"


class NameCollisionError(InvalidRequestError):
    """Two results of an answer would have one name.

    Args:
        names: those that would come twice.
        full_helps: whether no two would, if names carried their view's.
    """

    def __init__(self, names: Sequence[str], *, full_helps: bool) -> None:
        self.names = tuple(names)
        once = "ask for each feature once, and for those of one name in requests of their own"
        hint = "set full_feature_names to true" if full_helps else once
        shown = ", ".join(map(repr, self.names))
        super().__init__(f"several results would be named {shown}", where="features", hint=hint)


def feast_error_response(error: ForebayError, body: bytes) -> Response:
    """The answer of a request that failed.

    Args:
        body: the request's.
    """
    content = error_content(error) | {
        "module": _MODULE,
        "class": _class_of(error),
        "message": cut(_message(error)),
    }
    told: Any = json.dumps(content) if f'"{VERSIONS_FIELD}"'.encode() in body else content
    return JSONResponse(told, status_of(error), headers_of(error))


def _class_of(error: ForebayError) -> str:
    """The name of Feast's exception for a mistake; FeastError where it has none."""
    if isinstance(error, NameCollisionError):
        return "FeatureNameCollisionError"
    if isinstance(error, MissingValueError) and error.kind == "request value":
        return "RequestDataNotFoundInEntityRowsException"
    if isinstance(error, ForbiddenError):
        return "FeastPermissionError"
    if not isinstance(error, UnknownNameError):
        return "FeastError"
    where = str(error.where)
    if where == "feature_service":
        return "FeatureServiceNotFoundException"
    if where == "features":
        return "FeatureViewNotFoundException"
    if where.startswith("entities."):
        return "EntityNotFoundException"
    return "FeastObjectNotFoundException"


def _message(error: ForebayError) -> str:
    if isinstance(error, NameCollisionError):
        return f"Duplicate features named {', '.join(error.names)} found.\n{error.hint}"
    return str(error)
