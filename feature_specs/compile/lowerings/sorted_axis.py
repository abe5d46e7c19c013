"""Rows and the spine's markers on one axis, sorted by key and place and followed in that order.

A marker is an instant at which something about the rows before it is asked. DuckDB runs a window
that follows its input's order without a second sort; that the order held is checked row by row, so
that it can fail but never mislead.
"""

from __future__ import annotations

from feature_specs.compile.draft import Subquery
from feature_specs.compile.lowerings.lowered import ViewScope

#: A frame over all rows and markers so far, of this key and of those before it.
SO_FAR = "rows between unbounded preceding and current row"

#: Of what ``followed`` gives, the markers; raises where the order did not hold.
MARKERS = (
    "case when fb_key_before > fb_key or (fb_key_before = fb_key "
    "and fb_place_before > fb_place) then cast(error('rows came out of order') as boolean) "
    "else fb_mark > 0 end"
)


def numbered_keys(scope: ViewScope) -> Subquery:
    """Number the spine's keys: ``fb_key`` is a short sort key.

    Rows of other keys fall away where rows are joined to it.
    """
    return _keys(scope, "cast(row_number() over () as int)")


def distinct_keys(scope: ViewScope) -> Subquery:
    """The same for integer keys, each its own ``fb_key``."""
    (key,) = scope.keys
    return _keys(scope, key)


def _keys(scope: ViewScope, short: str) -> Subquery:
    keys = ", ".join(scope.keys)
    # Told apart below, so that DuckDB guesses how many there are.
    return Subquery(
        scope.name("ids"),
        f"select {keys}, {short} as fb_key "
        f"from (select distinct {keys} from {scope.name('spine')}) as keys",
    )


def followed(axis: str, where: str = "") -> str:
    """SQL after FROM: rows and markers in order, each with its predecessor's key, place and mark.

    Windows of the SELECT over it that have no order of their own follow the sort.

    Args:
        axis: a relation of ``fb_key``, ``fb_place``, ``fb_mark`` and more. Marks of the spine are
            above 0; a row's is null, or below 0.
        where: SQL of a WHERE, to follow some keys only.
    """
    # What is a sort's key is cheaper to carry than what is not.
    return (
        "(select *, lag(fb_key) over () as fb_key_before, lag(fb_place) over () as fb_place_before, "
        "lag(fb_mark) over () as fb_mark_before "
        f"from (select * from {axis} {where} order by fb_key, fb_place, fb_mark nulls first) "
        "as sorted) as followed"
    )
