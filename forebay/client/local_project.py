"""What is compiled and synced of a project, answered from as the server would."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from feature_specs.catalog import load_catalog
from feature_specs.catalog_root import check_root
from feature_specs.deprecation import HEADER, read_deprecation
from feature_specs.errors import ForebayError
from feature_specs.instants import epoch_us
from forebay.client.answer import Reply
from forebay.client.errors import error_class
from forebay.client.listing import Health
from forebay.client.request import VectorRequest
from forebay.dbt_project.project import Project
from forebay.own_team import own_caller, readers_of, with_hint
from serving.access.errors import ForbiddenError
from serving.access.gate import CALLER
from serving.api.errors import headers_of, status_of
from serving.api.listing import NOT_READY, Online, listing, online_views
from serving.api.take_over import TakeOver
from serving.api.vectors.endpoint import VectorAnswerer
from serving.clock import catalog_clock
from serving.lookup.lookup import Lookup


class LocalProject:
    """Answers from the project's catalog.json, and takes over what is written there as a server does.

    Raises:
        ForebayError: the project is not compiled or not synced yet.
    """

    def __init__(self, root: Path) -> None:
        path = Project(root).catalog_path
        catalog = load_catalog(path)
        check_root(catalog, root)
        lookup = Lookup(catalog, catalog_clock(catalog))
        self._project = Project(root)
        self._take_over = TakeOver(lookup, path)
        self._answer_from(lookup)

    async def answers(self, requests: Sequence[VectorRequest]) -> list[Reply]:
        """The answer to each request. Raises ForebayError as the server answers."""
        self._look()
        answerer, caller, made = self._answerer, self._caller, []
        for each in requests:
            scope = {"path": unquote(each.path), "headers": (), CALLER: caller}
            try:
                answer = await answerer.answer(scope, each.body)
                since = dict(answer.headers).get(HEADER)
                made.append(Reply(answer.body, None if since is None else read_deprecation(since)))
            except ForbiddenError as error:
                assert caller is not None
                told = with_hint(error, self._take_over.lookup.catalog, caller.team)
                raise _as_told(told) from None
            except ForebayError as error:
                check = partial(answerer.check_names, scope=scope, body=each.body)
                raise _as_told(await self._take_over.explain(error, check)) from None
        return made

    async def listing(self) -> dict[str, Any]:
        """What GET /features answers."""
        catalog = self._look().catalog
        return listing(catalog, await self._online(), catalog.access)

    async def health(self) -> Health:
        """What GET /health answers."""
        self._look()
        online = await self._online()
        missing = tuple(name for name, view in online.items() if view.status in NOT_READY)
        return Health(not missing, missing, self._take_over.waiting)

    def close(self) -> None:
        """Release the store."""
        self._take_over.lookup.close()

    def _look(self) -> Lookup:
        """What is answered from now, in one step that no call sees half of."""
        later = self._take_over.look()
        if later is not None:
            self._take_over.lookup = later
            self._answer_from(later)
        return self._take_over.lookup

    def _answer_from(self, lookup: Lookup) -> None:
        readers = readers_of(lookup.catalog)
        self._answerer = VectorAnswerer(lookup, readers)
        # Without private views nobody is asked for, and the profile need not be readable.
        self._caller = None if readers is None else own_caller(self._project)

    async def _online(self) -> dict[str, Online]:
        lookup = self._take_over.lookup
        now = epoch_us(lookup.clock())
        return await online_views(lookup.catalog, lookup.store, now, lookup.failed)


def _as_told(error: ForebayError) -> ForebayError:
    """An error of a lookup as a client of a server would meet it."""
    passes = bool(headers_of(error))
    kind = error_class(status_of(error), passes)
    if type(error) is kind:
        return error
    return kind(error.what, where=error.where, hint=error.hint)
