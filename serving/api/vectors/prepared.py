"""All of a request for vectors and its answer that the request's shape decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import orjson

from feature_specs.catalog import Catalog
from feature_specs.deprecation import deprecation_headers
from feature_specs.sql_types import SqlType, parse_type
from serving.access.audit import Asked
from serving.api.vectors.request import CONTEXT, Shape, answer_names
from serving.lookup.plan import Plan, Planner
from serving.lookup.read import Turns, ViewRows
from serving.lookup.rewrite import Rewrite, rewrite_of

_Made = TypeVar("_Made")

#: Integers that neither MessagePack nor Arrow has.
HUGE = ("HUGEINT", "UHUGEINT")


@dataclass(frozen=True)
class Prepared:
    """What answers of one shape share.

    Attributes:
        names, types: of the features, in the order asked.
        rewrites: by its place, what a feature's stored fragments become in the answer.
        asked: for the audit log.
        headers: what is told of views that are deprecated.
    """

    shape: Shape
    plan: Plan
    names: tuple[str, ...]
    types: tuple[str, ...]
    rewrites: dict[int, Rewrite]
    asked: Asked
    headers: tuple[tuple[bytes, bytes], ...] = ()
    _kept: dict[str, Any] = field(default_factory=dict)

    def keep(self, name: str, make: Callable[[Prepared], _Made]) -> _Made:
        """What a format makes of a shape, made once."""
        if name not in self._kept:
            self._kept[name] = make(self)
        made: _Made = self._kept[name]
        return made

    @cached_property
    def json_head(self) -> bytes:
        """The beginning of the answer as JSON."""
        names, types = orjson.dumps(self.names), orjson.dumps(self.types)
        return b'{"features":%s,"types":%s,"vectors":[[' % (names, types)

    @cached_property
    def sql_types(self) -> tuple[SqlType, ...]:
        return tuple(map(parse_type, self.types))

    @cached_property
    def has_huge(self) -> bool:
        """Whether a value may be an integer of more than 64 bits, which JSON's quicker reader lacks."""
        return any(map(has_huge, self.sql_types))

    @cached_property
    def as_stored(self) -> bool:
        """Rows of the answer are the views' stored rows side by side."""
        whole = all(view.whole for view in self.plan.views)
        return self.plan.in_order and whole and not self.rewrites


def prepare(catalog: Catalog, planner: Planner, shape: Shape, asked: Asked) -> Prepared:
    """What answers of a shape share.

    Raises:
        InvalidRequestError: a column is missing, or two features have one name.
        NotReadyError: a view cannot be served.
    """
    names = answer_names(shape.features)
    plan = planner.plan(shape.features, shape.columns.places, CONTEXT)
    types = [catalog.view(view).feature(feature).type for view, feature in shape.features]
    rewrites = {}
    if shape.decimal_numbers:
        found = ((i, rewrite_of(parse_type(name), numbers=True)) for i, name in enumerate(types))
        rewrites = {i: rewrite for i, rewrite in found if rewrite is not None}
    headers = deprecation_headers(catalog, shape.features)
    return Prepared(shape, plan, tuple(names), tuple(types), rewrites, asked, headers)


def has_huge(declared: SqlType) -> bool:
    """Whether a type is, or holds, integers of more than 64 bits."""
    return declared.name in HUGE or any(map(has_huge, declared.items))


async def columns(prepared: Prepared, views: Sequence[ViewRows], turns: Turns) -> list[list[bytes]]:
    """A column of fragments for each feature, in the order asked."""
    made: list[list[bytes]] = [[] for _ in prepared.names]
    for rows in views:
        for block in rows.blocks():
            for slot, column in zip(rows.plan.slots, block.columns, strict=True):
                made[slot] += column
            await turns.worked(len(block.times) * len(block.columns))
    for slot, rewrite in prepared.rewrites.items():
        made[slot] = list(map(rewrite, made[slot]))
    return made
