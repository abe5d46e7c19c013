"""The Starlette application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from serving.api.errors import TooLargeError, error_response, on_forebay_error, on_http_error
from serving.api.listing import NOT_READY, Online, listing, online_views
from serving.api.lookup import Lookup
from serving.api.metrics import Metrics
from serving.api.page import render
from serving.api.request import read_request
from serving.api.views import ready_views
from serving.clock import catalog_clock
from serving.keys import epoch_us
from serving.stores import open_store

#: The longest body of a request, in bytes: some 100,000 entities.
BODY_LIMIT = 4 * 2**20

# Nothing on the page comes from elsewhere, and nothing on it runs.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


def create_app(catalog: Catalog, *, clock: Callable[[], datetime] | None = None) -> Starlette:
    """The lookup API and the catalogue page of a compiled project.

    Args:
        clock: gives the instant of read-time parts, ttl and ages, an aware datetime in UTC; by
            default the catalog's ``now``, else the real time.

    Raises:
        ForebayError: there is no online store yet, or no view of the catalog can be served.
    """
    service = _Service(catalog, clock or catalog_clock(catalog))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        service.close()

    return Starlette(
        routes=[
            Route("/get-online-features", service.get_online_features, methods=["POST"]),
            Route("/features", service.features),
            Route("/health", service.health),
            Route("/metrics", service.metrics),
            Route("/", service.page),
        ],
        exception_handlers={ForebayError: on_forebay_error, HTTPException: on_http_error},
        lifespan=lifespan,
    )


class _Service:
    """The endpoints, and what they share. LMDB reads take microseconds, so none leaves the loop."""

    def __init__(self, catalog: Catalog, clock: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._clock = clock
        views, self._failed = ready_views(catalog)
        if self._failed and not views:
            raise next(iter(self._failed.values()))
        self._store = open_store(catalog.online, readonly=True)
        self._lookup = Lookup(views, self._store, self._failed)
        self._metrics = Metrics()

    def close(self) -> None:
        self._store.close()

    async def get_online_features(self, request: Request) -> Response:
        started = time.perf_counter()
        response = await self._answer(request)
        self._metrics.count_request(response.status_code, time.perf_counter() - started)
        return response

    async def features(self, request: Request) -> Response:
        return JSONResponse(listing(self._catalog, self._online()))

    async def health(self, request: Request) -> Response:
        """200 when every view can be served, else 503 with the names of those that cannot."""
        online = self._online()
        missing = [name for name, o in online.items() if o.status in NOT_READY]
        status = {"status": "degraded" if missing else "ok", "not_ready": missing}
        return JSONResponse(status, 503 if missing else 200)

    async def metrics(self, request: Request) -> Response:
        online = self._online()
        ages = {name: o.age_us / 1e6 for name, o in online.items() if o.age_us is not None}
        rows = {name: o.rows for name, o in online.items() if o.rows is not None}
        text = self._metrics.render(ages, rows)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def page(self, request: Request) -> Response:
        text = render(self._catalog, self._online(), request.query_params.get("q", "")[:200])
        return HTMLResponse(text, headers={"content-security-policy": _PAGE_POLICY})

    async def _answer(self, request: Request) -> Response:
        try:
            asked = read_request(self._catalog, await _body(request))
            answer = self._lookup.answer(asked, self._clock())
        except ForebayError as error:
            # Answered here rather than by the handler, so that it is counted.
            return error_response(error)
        self._metrics.count_statuses(answer.statuses)
        return Response(answer.body, media_type="application/json")

    def _online(self) -> dict[str, Online]:
        now = epoch_us(self._clock())
        return online_views(self._catalog, self._store, now, self._failed)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise TooLargeError(
                f"the body is longer than {BODY_LIMIT} bytes",
                where="body",
                mend="split the entities over several requests",
            )
    return bytes(body)
