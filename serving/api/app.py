"""The lookup API and the catalogue page as one ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from feature_specs.instants import epoch_us
from serving.access.audit import WRITE_S, Audit
from serving.access.gate import Gate, caller_of
from serving.access.rights import Readers
from serving.api.endpoint import LookupEndpoint
from serving.api.errors import on_forebay_error, on_http_error, page_error_response
from serving.api.feast.endpoint import FeastAnswerer
from serving.api.feast.errors import feast_error_response
from serving.api.listing import NOT_READY, Online, listing, online_views
from serving.api.metrics import CONTENT_TYPE, Metrics
from serving.api.openapi import openapi
from serving.api.take_over import TakeOver
from serving.api.vectors.endpoint import PATH, PREFIX, SUFFIX, VectorAnswerer
from serving.api.watch import Watch
from serving.catalogue.routes import CatalogueRoutes, Served
from serving.clock import catalog_clock
from serving.lookup.limits import LIMITS, Limits
from serving.lookup.lookup import Lookup
from serving.served.served_log import WRITE_S as SERVED_S
from serving.served.served_log import ServedLog

_FEAST = "/get-online-features"
#: Asked by load balancers, which have no key.
_OPEN = "/health"

#: How often the project is looked at, in seconds.
LOOK_EVERY_S = 1.0


def create_app(
    catalog: Catalog,
    *,
    clock: Callable[[], datetime] | None = None,
    path: Path | None = None,
    on_switch: Callable[[Catalog], None] | None = None,
    gate: Gate | None = None,
    audit: Audit | None = None,
    served: ServedLog | None = None,
    limits: Limits = LIMITS,
) -> App:
    """The lookup API and the catalogue page of a compiled project.

    Args:
        clock: gives the instant of read-time parts, ttl and ages, an aware datetime in UTC; by
            default the catalog's ``now``, else the real time.
        path: the project's catalog.json, which is taken over where it changes.
        on_switch: called with what is answered from after each take-over.
        gate: lets in who may ask; None answers everybody, whatever the views' access is.
        audit: keeps who asked for what; None keeps nothing.
        served: keeps a share of what is answered; None keeps nothing.
        limits: of requests.

    Raises:
        ForebayError: there is no online store yet, or no view of the catalog can be served.
    """
    lookup = Lookup(catalog, clock or catalog_clock(catalog), limits=limits)
    return App(TakeOver(lookup, path, clock), on_switch, gate, audit, path, served)


class App:
    """An ASGI application: lookups are answered directly, all else by Starlette's routes."""

    def __init__(
        self,
        take_over: TakeOver,
        on_switch: Callable[[Catalog], None] | None = None,
        gate: Gate | None = None,
        audit: Audit | None = None,
        path: Path | None = None,
        served: ServedLog | None = None,
    ) -> None:
        self._take_over = take_over
        self._on_switch = on_switch
        self._gate, self._audit, self._served_log = gate, audit, served
        self._metrics = Metrics()
        # What keys are good is found out by a task of its own: a project that cannot be read, or a
        # store that is slow, must not keep a revoked key good.
        self._watches = [
            Watch("the keys of teams", self._look_keys, LOOK_EVERY_S),
            Watch("the project", self._look, LOOK_EVERY_S),
        ]
        if audit is not None:
            self._watches.append(Watch("the audit log", self._write_audit, WRITE_S))
            self._dropped = 0
        if served is not None:
            self._watches.append(Watch("the log of served vectors", self._write_served, SERVED_S))
            self._lost = 0
        readers, limits = self._new_readers(), self.lookup.work.limits
        self._feast = LookupEndpoint(
            FeastAnswerer(self.lookup, readers),
            self._metrics,
            take_over,
            feast_error_response,
            gate=gate,
            audit=audit,
            served=served,
            limits=limits,
        )
        self._vectors = LookupEndpoint(
            VectorAnswerer(self.lookup, readers),
            self._metrics,
            take_over,
            gate=gate,
            audit=audit,
            served=served,
            limits=limits,
        )
        self._routes = Starlette(
            routes=[
                Route(_FEAST, self._feast, methods=["POST"]),
                Route(PATH, self._vectors, methods=["POST"]),
                Route(PREFIX + "{service}" + SUFFIX, self._vectors, methods=["POST"]),
                Route("/features", self._features),
                Route("/openapi.json", self._openapi),
                Route("/health", self._health),
                Route("/metrics", self._show_metrics),
                *CatalogueRoutes(self._served(path)).routes(),
            ],
            exception_handlers={ForebayError: on_forebay_error, HTTPException: on_http_error},
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The routes hold the lookups too; Starlette's way to them costs as much as a small lookup.
        endpoint: ASGIApp = self._routes
        if scope["type"] == "http" and scope["method"] == "POST":
            path = scope["path"]
            if path == _FEAST:
                endpoint = self._feast
            elif path == PATH or (path.startswith(PREFIX) and path.endswith(SUFFIX)):
                endpoint = self._vectors
        if endpoint is self._routes and self._gate is not None and scope["type"] == "http":
            try:
                if scope["path"] != _OPEN:
                    self._gate.admit(scope)
            except ForebayError as error:
                endpoint = page_error_response(error)
        await endpoint(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        await self._look_keys()
        await self._look()
        tasks = [asyncio.create_task(watch.run()) for watch in self._watches]
        yield
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._audit is not None:
            self._audit.flush()
        if self._served_log is not None:
            self._served_log.close()
        self._metrics.flush()
        self.lookup.close()

    @property
    def lookup(self) -> Lookup:
        """What is answered from at this moment."""
        return self._take_over.lookup

    async def _write_audit(self) -> None:
        """Write what the audit log holds, by one thread at a time."""
        assert self._audit is not None
        await asyncio.shield(asyncio.to_thread(self._audit.flush))
        dropped = self._audit.dropped
        self._metrics.count_dropped(dropped - self._dropped)
        self._dropped = dropped

    async def _write_served(self) -> None:
        """Write what the log of served vectors holds, by one thread at a time."""
        assert self._served_log is not None
        await asyncio.shield(asyncio.to_thread(self._served_log.flush))
        dropped = self._served_log.dropped
        self._metrics.count_lost(dropped - self._lost)
        self._lost = dropped

    async def _look_keys(self) -> None:
        """Take the keys as they are by now."""
        if self._gate is not None:
            await asyncio.to_thread(self._gate.look)

    async def _look(self) -> None:
        """Take over what the project means by now, in one step that no request sees half of."""
        later = await asyncio.to_thread(self._take_over.look)
        if later is not None:
            self._take_over.lookup = later
        if later is not None or self._take_over.access != self._access:
            # New ones, that hold no plan which was made for what somebody might read before.
            readers = self._new_readers()
            self._feast.answerer = FeastAnswerer(self.lookup, readers)
            self._vectors.answerer = VectorAnswerer(self.lookup, readers)
        if later is not None and self._on_switch is not None:
            await asyncio.to_thread(self._on_switch, later.catalog)

    def _new_readers(self) -> Readers | None:
        self._access = self._take_over.access
        return None if self._gate is None else Readers(*self._access)

    async def _features(self, request: Request) -> Response:
        catalog, online = self.lookup.catalog, await self._online()
        access, may_read = self._take_over.access[0], self._may(request)
        # A thread writes it: of 10,000 features it is work for a tenth of a second.
        return await asyncio.to_thread(
            lambda: JSONResponse(listing(catalog, online, access, may_read))
        )

    async def _openapi(self, request: Request) -> Response:
        lookup, keys = self.lookup, self._gate is not None
        return JSONResponse(openapi(lookup.catalog.project, lookup.work.limits, keys=keys))

    async def _health(self, request: Request) -> Response:
        """200 when every view can be served, else 503 with the names of those that cannot; 503 too
        while keys or the project cannot be looked at for a reason that nobody foresaw.

        ``waiting`` names views that were compiled anew and are served as they were, and ``problem``
        says why nothing is taken over. Whoever sends no key where keys are wanted sees the status
        alone: who asks whether a server is well need not know what it holds.
        """
        online = await self._online()
        missing = [name for name, o in online.items() if o.status in NOT_READY]
        unseen = next((watch.problem for watch in self._watches if watch.problem), None)
        degraded = bool(missing or unseen)
        status: dict[str, object] = {"status": "degraded" if degraded else "ok"}
        if self._is_known(request):
            problem = unseen or self._take_over.problem or (self._gate and self._gate.problem)
            status |= {"not_ready": missing, "waiting": self._take_over.waiting}
            status["problem"] = problem
        return JSONResponse(status, 503 if degraded else 200)

    def _is_known(self, request: Request) -> bool:
        """Whether the caller may see what a server holds."""
        try:
            if self._gate is not None:
                self._gate.caller(request.scope)
        except ForebayError:
            return False
        return True

    def _may(self, request: Request) -> Callable[[str], bool] | None:
        """Whether the caller may read a view; None where everybody may read everything."""
        if self._gate is None:
            return None
        readers, rights = Readers(*self._access), caller_of(request.scope).team.rights
        return lambda view: readers.may_read(rights, view)

    async def _show_metrics(self, request: Request) -> Response:
        online = await self._online()
        ages = {name: o.age_us / 1e6 for name, o in online.items() if o.age_us is not None}
        rows = {name: o.rows for name, o in online.items() if o.rows is not None}
        views = self.lookup.catalog.views
        allowed = {n: v.freshness_us / 1e6 for n, v in views.items() if v.freshness_us is not None}
        self._metrics.flush()
        text = await asyncio.to_thread(self._metrics.render, ages, rows, allowed)
        return Response(text, media_type=CONTENT_TYPE)

    def _served(self, path: Path | None) -> Served:
        """What the catalogue's pages are made of."""
        return Served(
            catalog=lambda: self.lookup.catalog,
            access=lambda: self._take_over.access[0],
            store=lambda: self.lookup.store,
            online=self._online,
            may_read=self._may,
            ask=self._ask,
            path=path,
            keys=self._gate is not None,
        )

    async def _ask(self, scope: Scope, body: bytes) -> bytes:
        """Answer a lookup for a page, as one of the page's reader; it is audited as such."""
        return await self._vectors.answer_within(scope, body)

    async def _online(self) -> dict[str, Online]:
        lookup = self.lookup
        now = epoch_us(lookup.clock())
        return await online_views(lookup.catalog, lookup.store, now, lookup.failed)
