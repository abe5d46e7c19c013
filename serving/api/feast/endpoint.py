"""POST /get-online-features, from body to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from feature_specs.catalog import Catalog
from feature_specs.deprecation import deprecation_headers
from serving.access.audit import Asked
from serving.access.gate import caller_of
from serving.access.rights import Readers
from serving.access.team import Caller
from serving.api.check_rights import check_rights, views_of
from serving.api.endpoint import ASKED, ROWS, Answer
from serving.api.feast.answer import answer_body, answer_head
from serving.api.feast.cast_keys import with_cast_keys
from serving.api.feast.request import CONTEXTS, Shape, parse, read_shape, shape_key
from serving.api.feast.rewrites import Rewrites, rewrites_of
from serving.lookup.budget import budget_s
from serving.lookup.lookup import Lookup
from serving.lookup.names import Names
from serving.lookup.plan import Plan
from serving.lookup.plan_cache import PlanCache
from serving.lookup.sent import ENTITIES


@dataclass(frozen=True)
class _Prepared:
    """All of a request and its answer that the request's shape decides.

    Attributes:
        rewrites: of each of the plan's views.
        asked: for the audit log.
        headers: what is told of views that are deprecated.
    """

    shape: Shape
    plan: Plan
    head: bytes
    rewrites: tuple[Rewrites, ...]
    asked: Asked
    headers: tuple[tuple[bytes, bytes], ...]


class FeastAnswerer:
    """Answers requests of Feast's feature server.

    Args:
        readers: who may read what; None lets everybody read everything.
    """

    def __init__(self, lookup: Lookup, readers: Readers | None = None) -> None:
        self._lookup, self._readers = lookup, readers
        self._prepared: PlanCache[_Prepared] = PlanCache()

    async def answer(self, scope: Scope, body: bytes) -> Answer:
        """The answer to a body.

        Raises:
            ForebayError: it cannot be read, names what does not exist, or cannot be answered.
        """
        raw = parse(body)
        caller = None if self._readers is None else caller_of(scope)
        key = shape_key(raw, None if caller is None else caller.team.rights)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepare(scope, raw, caller)
            self._prepared.put(key, prepared, len(prepared.plan.features))
        budget = budget_s(raw)
        given = prepared.shape.columns.given(raw, prepared.plan.needed, self._lookup.work.limits)
        entities = [raw[ENTITIES][name] for name in prepared.shape.echoed]
        rows = max(map(len, raw[ENTITIES].values()))
        width = len(prepared.plan.features) + len(entities)
        scope[ASKED], scope[ROWS] = prepared.asked, rows
        if caller is not None:
            caller.usage.spend_cells(rows * width)
        with self._lookup.work.of(rows, width):
            views = await self._lookup.read(prepared.plan, given, budget)
            made = await answer_body(
                prepared.head, entities, prepared.plan, views, prepared.rewrites
            )
        return Answer(made, b"application/json", views, prepared.headers)

    def check_names(self, catalog: Catalog, scope: Scope, body: bytes) -> None:
        """Raises ForebayError where the request names what a catalog does not have."""
        read_shape(Names(catalog, self._lookup.work.limits), parse(body))

    def _prepare(self, scope: Scope, raw: Mapping[str, Any], caller: Caller | None) -> _Prepared:
        shape = read_shape(self._lookup.names, raw)
        asked = Asked(raw.get("feature_service"), views_of(shape.features))
        scope[ASKED] = asked  # of a request that is refused it is known too
        check_rights(self._readers, caller, asked.views)
        plan = self._lookup.planner.plan(shape.features, shape.columns.places, CONTEXTS[0])
        plan = with_cast_keys(plan)
        versions = [view.view.entry for view in plan.views] if shape.versions else ()
        head = answer_head([*shape.echoed, *shape.names], versions)
        rewrites = rewrites_of(plan, numbers=shape.numbers)
        headers = deprecation_headers(self._lookup.catalog, shape.features)
        return _Prepared(shape, plan, head, rewrites, asked, headers)
