"""The endpoints of vectors, from body to answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache

from starlette.types import Scope

from feature_specs.catalog import Catalog
from serving.access.audit import Asked
from serving.access.gate import caller_of
from serving.access.rights import Readers
from serving.api.check_rights import check_rights, views_of
from serving.api.endpoint import ASKED, ROWS, Answer
from serving.api.errors import NotAcceptableError
from serving.api.vectors import as_arrow, as_json, as_msgpack
from serving.api.vectors.prepared import Prepared, prepare
from serving.api.vectors.request import (
    check_count,
    parse,
    read_shape,
    shape_key,
    wants_ages,
)
from serving.lookup.budget import budget_s
from serving.lookup.lookup import Lookup
from serving.lookup.names import Names
from serving.lookup.plan_cache import PlanCache
from serving.lookup.read import ViewRows

_Encode = Callable[[Prepared, Sequence[ViewRows], bool], Awaitable[bytes]]

#: The formats of answers, the preferred one first.
FORMATS: dict[bytes, _Encode] = {
    as_json.MEDIA_TYPE: as_json.encode,
    as_msgpack.MEDIA_TYPE: as_msgpack.encode,
    as_arrow.MEDIA_TYPE: as_arrow.encode,
}

PREFIX, SUFFIX = "/v1/services/", "/vectors"
#: The path of requests that name their features themselves.
PATH = "/v1/vectors"


class VectorAnswerer:
    """Answers requests for vectors of a service, or of features that they name.

    Args:
        readers: who may read what; None lets everybody read everything.
    """

    def __init__(self, lookup: Lookup, readers: Readers | None = None) -> None:
        self._lookup, self._readers = lookup, readers
        self._prepared: PlanCache[Prepared] = PlanCache()

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """The answer to a body.

        Raises:
            ForebayError: it cannot be read, names what does not exist, or cannot be answered.
        """
        packed, media_type = _formats(scope)
        raw, service = parse(body, packed), _service(scope)
        caller = None if self._readers is None else caller_of(scope)
        key = shape_key(raw, service, None if caller is None else caller.team.rights)
        prepared = self._prepared.get(key)
        if prepared is None:
            shape = read_shape(self._lookup.names, raw, service)
            asked = Asked(service, views_of(shape.features))
            scope[ASKED] = asked  # of a request that is refused it is known too
            check_rights(self._readers, caller, asked.views)
            prepared = prepare(self._lookup.catalog, self._lookup.planner, shape, asked)
            self._prepared.put(key, prepared, len(prepared.names))
        limits = self._lookup.work.limits
        count = check_count(raw, limits)
        ages, budget = wants_ages(raw), budget_s(raw)
        given = prepared.shape.columns.given(raw, prepared.plan.needed, limits)
        width = len(prepared.names)
        scope[ASKED], scope[ROWS] = prepared.asked, count
        if caller is not None:
            caller.usage.spend_cells(count * width)
        with self._lookup.work.of(count, width):
            views = await self._lookup.read(prepared.plan, given, budget)
            made = await FORMATS[media_type](prepared, views, ages)
        return Answer(made, media_type, views, prepared.headers)

    def check_names(self, catalog: Catalog, scope: Scope, body: bytes) -> None:
        """Raises ForebayError where the request names what a catalog does not have."""
        read_shape(
            Names(catalog, self._lookup.work.limits),
            parse(body, _formats(scope)[0]),
            _service(scope),
        )


def _service(scope: Scope) -> str | None:
    path: str = scope["path"]
    return None if path == PATH else path[len(PREFIX) : -len(SUFFIX)]


def _formats(scope: Scope) -> tuple[bool, bytes]:
    """Whether the request is MessagePack, and the media type of the answer."""
    content, accept = b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content = value
        elif name == b"accept":
            accept = accept + b"," + value if accept else value
    packed = content.partition(b";")[0].strip().lower() == as_msgpack.MEDIA_TYPE
    return packed, _negotiate(accept)


@lru_cache(maxsize=256)
def _negotiate(accept: bytes) -> bytes:
    """The media type of the answer for an Accept header.

    Raises:
        NotAcceptableError: no format of answers is among those accepted.
    """
    best, found = 0.0, None
    for part in accept.lower().split(b",") if accept else [b"*/*"]:
        kind, *parameters = (piece.strip() for piece in part.split(b";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith(b"q="):
                quality = _quality(parameter[2:])
        for media_type in FORMATS:
            if quality > best and kind in (media_type, b"*/*", b"application/*"):
                best, found = quality, media_type
    if found is None:
        kinds = ", ".join(media_type.decode() for media_type in FORMATS)
        raise NotAcceptableError(
            "no format of the answer is accepted", where="accept", hint=f"accept one of {kinds}"
        )
    return found


def _quality(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
