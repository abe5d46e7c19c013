"""Which features of a plan are not answered as they are stored, since Feast writes them otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.sql_types import parse_type
from serving.lookup.plan import Plan, ViewLookup
from serving.lookup.rewrite import Rewrite, rewrite_of

#: Of the features of one view of a plan, those that are rewritten: their position, and how.
Rewrites = Sequence[tuple[int, Rewrite]]


def rewrites_of(plan: Plan, *, numbers: bool) -> tuple[Rewrites, ...]:
    """What is rewritten of each of a plan's views; mostly nothing.

    Args:
        numbers: decimals are JSON numbers, not text.
    """
    return tuple(_view_rewrites(plan, view, numbers) for view in plan.views)


def _view_rewrites(plan: Plan, view: ViewLookup, numbers: bool) -> Rewrites:
    found = []
    for at, slot in enumerate(view.slots):
        feature = view.view.entry.feature(plan.features[slot][1])
        rewrite = rewrite_of(parse_type(feature.type), numbers=numbers, objects=True)
        if rewrite is not None:
            found.append((at, rewrite))
    return found
