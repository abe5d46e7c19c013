"""The catalogue's HTML. Importing this loads Jinja2: a server does it when the first page is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from feature_specs.counted import counted
from serving.catalogue.directory import Directory
from serving.catalogue.facets import Chosen
from serving.catalogue.found import Finder
from serving.catalogue.highlight import highlight
from serving.catalogue.live import Live
from serving.catalogue.pages import LISTS, list_context, page_context
from serving.catalogue.similar import Similarity
from serving.catalogue.words import STATUSES, anchor, duration, on_stale, visible_from

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
#: Features on the first page, and with each "more".
FIRST = 50
#: Characters of a query that are read.
LONGEST_QUERY = 200


class Site:
    """Renders the pages of a directory.

    Args:
        static: whether pages are files, so that links name files and nothing is live.
    """

    def __init__(self, directory: Directory, *, static: bool = False) -> None:
        self.directory, self.static = directory, static
        self.finder = Finder(directory)

    @cached_property
    def similarity(self) -> Similarity:
        """Made for the first feature's page."""
        return Similarity(self.directory.features)

    def home(self, query: str, chosen: Chosen, offset: int, live: Live) -> str:
        """The first page: the search, what it finds, and the facets."""
        query = query[:LONGEST_QUERY]
        found = self.finder.find(query, chosen, FIRST, offset, live)
        shown = {name: list(values) for name, values in chosen.items()}

        def choose(name: str, value: str) -> str:
            """The query string with one value taken up, or left where it is chosen."""
            values = shown.get(name, [])
            after = [v for v in values if v != value] if value in values else [*values, value]
            return _query(query, {**shown, name: after})

        more = offset + FIRST if offset + FIRST < found["total"] else None
        return self._render(
            "home.html",
            "",
            found=found,
            choose=choose,
            chosen=shown,
            more=None if more is None else _query(query, shown, more),
            all_of_them=not (query.strip() or chosen or offset),
        )

    def page(self, path: str, live: Live) -> str | None:
        """The page at a path; None where there is none."""
        if path in LISTS:
            return self._render("list.html", path, **list_context(self.directory, path, live))
        found = self.directory.find(path)
        if found is None:
            return None
        kind, thing = found
        context = page_context(self.directory, self.similarity, kind, thing, live)
        return self._render(f"{kind}.html", path, live=live, **context)

    def missing(self, path: str) -> str:
        """The page of a path at which there is none."""
        words = path.rpartition("/")[2].replace("~", " ")
        return self._render("missing.html", path, words=words, search=quote_plus(words))

    def _render(self, template: str, path: str, **context: Any) -> str:
        up = "../" * path.count("/")
        suffix = ".html" if self.static else ""

        def url(to: str, fragment: str = "") -> str:
            """A link from this page to another, relative, so that a site may stand anywhere."""
            end = f"#{fragment}" if fragment else ""
            if not to:
                return (f"{up}index.html" if self.static else up or "./") + end
            return f"{up}{to}{suffix}{end}"

        directory = self.directory
        return (
            _environment()
            .get_template(template)
            .render(
                project=directory.project,
                compiler=directory.catalog.compiler,
                directory=directory,
                static=self.static,
                up=up,
                url=url,
                asset=lambda name: f"{up}assets/{name}?{_digest(name)}",
                current=path,
                lists=LISTS,
                **context,
            )
        )


def assets() -> Mapping[str, bytes]:
    """The files that pages load, by name."""
    return {path.name: path.read_bytes() for path in sorted(ASSETS.iterdir())}


@cache
def _digest(name: str) -> str:
    return hashlib.blake2b((ASSETS / name).read_bytes(), digest_size=4).hexdigest()


@cache
def _environment() -> Environment:
    """Templates; every value in them is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "duration": duration,
        "highlight": highlight,
        "counted": counted,
        "anchor": anchor,
        "on_stale": on_stale,
        "visible_from": visible_from,
    }
    made.globals |= {"statuses": STATUSES}
    return made


def _query(query: str, chosen: Mapping[str, Sequence[str]], offset: int = 0) -> str:
    pairs = [("q", query)] if query else []
    pairs += [(name, value) for name, values in chosen.items() for value in values]
    if offset:
        pairs.append(("from", str(offset)))
    return "?" + urlencode(pairs) if pairs else "?"
