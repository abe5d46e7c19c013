"""When a leaf's rows live, where each has one lifetime and its values never change (DESIGN 2 and 3)."""

from __future__ import annotations

from feature_specs.compile.draft import Draft, Term, Window
from feature_specs.compile.sql.time_axis import (
    event_offset,
    instant_of,
    or_never,
    us_of,
    valid_to_of,
)
from feature_specs.leaf import Leaf


def leaf_window(draft: Draft, leaf: Leaf, alias: str) -> Window:
    """The lifetimes of a leaf's rows, whose table stands under the alias."""
    if leaf.valid_from is not None:
        start = Term(instant_of(leaf, leaf.valid_from, alias))
        if leaf.valid_to is None or leaf.visibility == "history":
            return Window((start,))
        end = us_of(valid_to_of(leaf, alias))
        return Window((start,), (Term(or_never(end), on_axis=True),))
    if leaf.event_time is None:
        return Window()
    starts = [Term(instant_of(leaf, leaf.event_time, alias), event_offset(draft))]
    if leaf.loaded_at is not None and leaf.visibility != "event":
        starts.append(Term(instant_of(leaf, leaf.loaded_at, alias)))
    return Window(tuple(starts))
