"""Operators that hold rows against their matches: outer, semi and anti joins, DISTINCT.

A left row lives on without a match for its own life less the union of its matches' lives, and has
a match for that union. Both are read off the matches in the order in which they start, with the
greatest end so far (gaps and islands): Dignos, Bohlen and Gamper, "Temporal Alignment", 2012.
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.compile.intervals.interval_relation import END, ROW_ID, START, listed

_BEFORE = "rows between unbounded preceding and 1 preceding"


def pairs_sql(left: str, right: str, columns: Sequence[str], on: Sequence[str], life: str) -> str:
    """Pairs of left and right rows while both live and match.

    Args:
        columns: select items over aliases l and r.
        on: what must hold, over l and r.
        life: ``greatest(...) as fb_start, least(...) as fb_end`` over l and r.
    """
    test = " and ".join(f"({test})" for test in on) or "true"
    items = "".join(f"{c}, " for c in columns)
    return (
        f"select * from (select {items}l.{ROW_ID}, {life} from {left} as l "
        f"join {right} as r on {test}) as paired where {START} < {END}"
    )


def gaps_sql(left: str, columns: Sequence[str], pairs: str, extra: str = "") -> str:
    """Left rows while none of their pairs lives.

    Args:
        columns: the left's columns, handed on.
        extra: further select items, such as the nulls of an outer join, each after a comma.
    """
    edges = (
        f"select {ROW_ID}, {START}, {END} from {pairs} "
        f"union all select {ROW_ID}, {START}, {START} from {left} "
        f"union all select {ROW_ID}, {END}, {END} from {left}"
    )
    reached = (
        f"select {ROW_ID}, max({END}) over (partition by {ROW_ID} order by {START}, {END} "
        f"{_BEFORE}) as fb_reached, {START} as fb_next from ({edges}) as edges"
    )
    return (
        f"select {listed(columns, 'l')}l.{ROW_ID}{extra}, "
        f"greatest(l.{START}, g.fb_reached) as {START}, least(l.{END}, g.fb_next) as {END} "
        f"from ({reached}) as g join {left} as l on l.{ROW_ID} = g.{ROW_ID} "
        f"where g.fb_reached < g.fb_next"
    )


def semi_sql(left: str, columns: Sequence[str], pairs: str) -> str:
    """Left rows while at least one of their pairs lives."""
    return (
        f"select {listed(columns, 'l')}l.{ROW_ID}, greatest(l.{START}, i.{START}) as {START}, "
        f"least(l.{END}, i.{END}) as {END} "
        f"from ({islands_sql(pairs, [ROW_ID])}) as i join {left} as l on l.{ROW_ID} = i.{ROW_ID}"
    )


def islands_sql(relation: str, columns: Sequence[str]) -> str:
    """Distinct values of some columns while at least one row holds them."""
    keys = ", ".join(f'"{c}"' for c in columns)
    order = f"over (partition by {keys} order by {START}, {END}"
    fresh = (
        f"select {keys}, {START}, {END}, case when {START} <= max({END}) {order} {_BEFORE}) "
        f"then 0 else 1 end as fb_fresh from {relation}"
    )
    # Over a RANGE frame rows of one lifetime share their island, whichever of them came first.
    numbered = (
        f"select {keys}, {START}, {END}, sum(fb_fresh) {order} "
        f"range between unbounded preceding and current row) as fb_island from ({fresh}) as fresh"
    )
    return (
        f"select {keys}, min({START}) as {START}, max({END}) as {END} "
        f"from ({numbered}) as numbered group by {keys}, fb_island"
    )
