"""The catalogue's part of the server: pages, what they load, and GET /v1/features.

Pages are made by threads, since lookups share the event loop. The first one loads Jinja2 and reads
catalogue.json: a server that is only asked for vectors does neither.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from feature_specs.access import ViewAccess
from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError
from serving.api.listing import Online
from serving.stores import OnlineStore

if TYPE_CHECKING:
    from feature_specs.feature_shapes import FeatureShape
    from feature_specs.skew_figures import SkewFigures
    from serving.catalogue.examples import Ask
    from serving.catalogue.facets import Chosen
    from serving.catalogue.live import Examples, Live
    from serving.catalogue.site import Site

#: Nothing comes from elsewhere, nothing stands in a page that runs, and no page stands in another.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "private, no-cache",
}
_KINDS = ("feature", "view", "service", "entity", "source", "owner", "group", "exposure")
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FEATURES = "/v1/features"
_MOST, _USUAL = 1_000, 100


@dataclass(frozen=True)
class Served:
    """What the pages are made of, asked for anew by each.

    Attributes:
        online: how each view stands.
        may_read: whether a request's sender may read a view; None where everybody may.
        ask: answers a lookup.
        path: of catalog.json; None where it is not known.
        keys: whether an API key is wanted.
    """

    catalog: Callable[[], Catalog]
    access: Callable[[], Mapping[str, ViewAccess]]
    store: Callable[[], OnlineStore]
    online: Callable[[], Awaitable[Mapping[str, Online]]]
    may_read: Callable[[Request], Callable[[str], bool] | None]
    ask: Ask
    path: Path | None
    keys: bool


class CatalogueRoutes:
    """Answers requests for pages."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._made_of: tuple[object, ...] = ()
        self._site: Site | None = None
        self._shapes_read: tuple[int, Mapping[str, FeatureShape]] = (0, {})
        self._skews_read: tuple[int, Mapping[str, SkewFigures]] = (0, {})
        self._indexing: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        """The routes, the first page's last."""
        lists = ("views", "services", "entities", "sources", "owners")
        return [
            Route(FEATURES, self._features),
            Route("/assets/{name}", self._asset),
            Route("/feature/{view}/{name}", self._page),
            *(Route(f"/{kind}/{{name}}", self._page) for kind in _KINDS[1:]),
            *(Route(f"/{path}", self._page) for path in lists),
            Route("/", self._home),
        ]

    async def _features(self, request: Request) -> Response:
        """Features as JSON: all, or those that a query and facets find, ranked."""
        limit = _number(request, "limit", _USUAL, _MOST)
        offset = _number(request, "offset", 0, 1_000_000_000)
        query = request.query_params.get("q", "")
        live, chosen = await self._live(request), _chosen(request)

        def find() -> Response:
            from serving.catalogue.site import LONGEST_QUERY

            asked = query[:LONGEST_QUERY]
            found = self._current().finder.find(asked, chosen, limit, offset, live)
            return JSONResponse(found, headers={"cache-control": "private, no-cache"})

        return await asyncio.to_thread(find)

    async def _home(self, request: Request) -> Response:
        live, chosen = await self._live(request), _chosen(request)
        query = request.query_params.get("q", "")
        offset = _number(request, "from", 0, 1_000_000_000)

        def render() -> str:
            return self._current().home(query, chosen, offset, live)

        text = await asyncio.to_thread(render)
        self._index_soon()
        return HTMLResponse(text, headers=_HEADERS)

    async def _page(self, request: Request) -> Response:
        path = request.url.path.lstrip("/")
        site = await asyncio.to_thread(self._current)
        live = await self._live(request, await self._examples(site, path, request))
        text = await asyncio.to_thread(site.page, path, live)
        if text is None:
            text = await asyncio.to_thread(site.missing, path)
            return HTMLResponse(text, 404, headers=_HEADERS)
        return HTMLResponse(text, headers=_HEADERS)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        body = (await asyncio.to_thread(_assets)).get(name)
        if body is None:
            return RedirectResponse("../", 303, headers=_HEADERS)
        headers = {**_HEADERS, "cache-control": "private, max-age=86400"}
        return Response(body, media_type=_TYPES[Path(name).suffix], headers=headers)

    async def _examples(self, site: Site, path: str, request: Request) -> Examples:
        """Values of the view that a page is of, where its reader may read it."""
        await asyncio.to_thread(_load)
        from serving.catalogue.examples import read_examples
        from serving.catalogue.live import NO_EXAMPLES

        kind, thing = site.directory.find(path) or ("", None)
        view = getattr(thing, "view", None) if kind == "feature" else thing
        may_read = self._served.may_read(request)
        if not isinstance(view, ViewEntry) or not (may_read is None or may_read(view.name)):
            return NO_EXAMPLES
        return await read_examples(self._served.store(), view, request.scope, self._served.ask)

    async def _live(self, request: Request, examples: Examples | None = None) -> Live:
        await asyncio.to_thread(_load)
        from serving.catalogue.live import NO_EXAMPLES, Live
        from serving.catalogue.snippets import SnippetSettings

        served = self._served
        url = f"{request.url.scheme}://{request.url.netloc}"
        may_read = served.may_read(request)
        return Live(
            online=await served.online(),
            may_read=may_read or (lambda view: True),
            examples=examples or NO_EXAMPLES,
            place=SnippetSettings(url, served.keys, served.catalog().now or ""),
            folder=None if served.path is None else served.path.parent,
            shapes=await asyncio.to_thread(self._shapes) if examples is not None else {},
            skews=await asyncio.to_thread(self._skews) if examples is not None else {},
        )

    def _current(self) -> Site:
        """The site of what is served now; made anew where that has changed."""
        from feature_specs.catalogue_facts import FACTS, CatalogueFacts, load_facts
        from serving.catalogue.directory import Directory
        from serving.catalogue.site import Site

        served = self._served
        catalog, access = served.catalog(), served.access()
        path = None if served.path is None else served.path.with_name(FACTS)
        with self._lock:
            made_of = (catalog, access, _written(path))
            # Objects by identity: what is taken over is another one, and comparing them costs much.
            same = len(self._made_of) == 3 and all(
                before is now for before, now in zip(self._made_of[:2], made_of[:2], strict=True)
            )
            if self._site is None or not same or self._made_of[2] != made_of[2]:
                facts = CatalogueFacts() if path is None else load_facts(path)
                self._site = Site(Directory(catalog, facts, access))
                self._made_of = made_of
            return self._site

    def _shapes(self) -> Mapping[str, FeatureShape]:
        """Statistics of features; read anew where a build has written others."""
        from feature_specs.feature_shapes import SHAPES, load_shapes

        path = self._served.path
        file = None if path is None else path.with_name(SHAPES)
        written = _written(file)
        if file is not None and self._shapes_read[0] != written:
            self._shapes_read = written, load_shapes(file)
        return self._shapes_read[1]

    def _skews(self) -> Mapping[str, SkewFigures]:
        """What was served beside training; read anew where `forebay monitor` has written it."""
        from feature_specs.skew_figures import SKEWS, load_skews

        path = self._served.path
        file = None if path is None else path.with_name(SKEWS)
        written = _written(file)
        if file is not None and self._skews_read[0] != written:
            self._skews_read = written, load_skews(file)
        return self._skews_read[1]

    def _index_soon(self) -> None:
        """Make the index of words while whoever has the first page begins to type."""
        site = self._site
        if site is not None and (self._indexing is None or self._indexing.done()):
            self._indexing = asyncio.create_task(_make_index(site))


def _assets() -> Mapping[str, bytes]:
    from serving.catalogue.site import assets

    return assets()


def _load() -> None:
    """Import what pages are made by, which takes a tenth of a second the first time."""
    from serving.catalogue import examples, live, snippets

    _ = examples, live, snippets


async def _make_index(site: Site) -> None:
    await asyncio.to_thread(lambda: site.finder.index)


def _written(path: Path | None) -> int:
    try:
        return 0 if path is None else path.stat().st_mtime_ns
    except OSError:
        return 0


def _chosen(request: Request) -> Chosen:
    from serving.catalogue.facets import NAMES

    given = request.query_params
    return {name: given.getlist(name)[:50] for name in NAMES if name in given}


def _number(request: Request, name: str, usual: int, most: int) -> int:
    """A whole number of the query string. Raises DataError where it is none."""
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and int(text[:12]) <= most):
        raise DataError(
            f"{name} is not a whole number from 0 to {most}",
            where=name,
            hint=f"send {name}={usual}",
        )
    return int(text)
