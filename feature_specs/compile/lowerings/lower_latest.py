"""The latest row of each entity as of each instant, by one sorted pass or one as-of join.

Rows are ranked by event_time, tie_break, when they became visible and their values. A row is ever
the answer only if no row visible by its start outranks it; keep those, and the answer at t is the
kept row with the greatest start (DESIGN 3, lowering 1).
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.compile.draft import IntervalForm, Subquery
from feature_specs.compile.lowerings.last_starts import last_starts
from feature_specs.compile.lowerings.lowered import AXIS, ROW, ViewScope
from feature_specs.compile.lowerings.rank_rows_of_history import (
    answers_of,
    answers_sql,
    ranking,
    starts_in_order,
)
from feature_specs.compile.lowerings.tiles import last_tiled_starts
from feature_specs.quote import quoted


def lowers_to_latest(form: IntervalForm) -> str | None:
    """Why the form is not a history of rows that never end, or None if it is one."""
    if form.grouped or form.event_time is None:
        return "it is not a history of plain rows"
    if not form.window.never_ends:
        return "rows leave again"
    return None


def ranks_by_start(form: IntervalForm) -> bool:
    """Whether rows of one event_time may become visible at different instants."""
    return not form.grouped and form.event_time is not None and not starts_in_order(form)


def lower_in_order(
    histories: Sequence[ViewScope], *, tiled: bool = False
) -> tuple[list[Subquery], str]:
    """Subqueries of histories with the same keys, and SQL that joins their features to the spine.

    Match on the starts alone, then fetch the rows that start then: once each, however many spine
    rows they answer, so that memory is needed for neither the history nor a copy a spine row.

    Args:
        tiled: find the starts by tiles, rather than sort them.
    """
    first = histories[0]
    matched = first.name("matched")
    features = [_fetched(h, first, place, tiled=tiled) for place, h in enumerate(histories)]
    joins = [f"left join {matched} on {matched}.{ROW} = fb_spine.{ROW}"]
    # A whole number is its own fb_key, which need not be carried to where the spine has it.
    key = f"fb_spine.{quoted(first.spine_key)}" if first.whole_key else f"{matched}.fb_key"
    for place, history in enumerate(histories):
        own, start = history.name("features"), history.rows.starts[0]
        joins.append(
            f"left join {own} on {key} = {own}.fb_key "
            f"and {matched}.fb_matched{place} = {own}.{start} and fb_spine.{AXIS} >= {own}.{start}"
        )
    starts = last_tiled_starts(histories) if tiled else last_starts(histories)
    return [*starts, *features], " ".join(joins)


def _fetched(history: ViewScope, first: ViewScope, place: int, *, tiled: bool) -> Subquery:
    """The rows that matched; of rows with the same start, the one that answers.

    Rows are told apart by the spine's keys: one of these may equal keys that the leaves write in two
    ways.
    """
    start = history.rows.starts[0]
    rows, key = f"{history.name('rows')} as r", f"r.{history.keys[0]}"
    if not history.whole_key:
        rows += f" join {first.name('ids')} as i on {history.same_key('r', 'i')}"
        key = "i.fb_key"
    fetched = (
        f"select {key} as fb_key, r.{start}, {answers_sql(history)} "
        f"from {rows} semi join {first.name('matched')} as m "
        f"on {key} = m.fb_key and r.{start} = m.fb_matched{place}"
    )
    order = ranking(history, starts_alike=True)
    rank = f"row_number() over (partition by {key}, r.{start} order by {order})"
    if tiled:  # where a window is cheaper than a second scan of the rows
        return Subquery(history.name("features"), f"{fetched} qualify {rank} = 1", shared=False)
    fetched += f" and m.fb_first{place}"
    return Subquery(
        history.name("features"),
        f"{fetched} and not m.fb_tied{place} "
        f"union all {fetched} and m.fb_tied{place} qualify {rank} = 1",
        shared=False,
    )


def lower_late(scope: ViewScope) -> list[Subquery]:
    """Subqueries, of which the last is ``features``, of a history whose rows may start late.

    Keep the rows that no row outranks that starts by then, and match on their starts.
    """
    keys = ", ".join(scope.keys)
    start = scope.rows.starts[0]
    values = answers_sql(scope)
    names = ", ".join(f"w.{quoted(c)}" for c, _ in answers_of(scope))
    rank = f"row_number() over (partition by {keys} order by {ranking(scope)})"
    winners = (
        f"select {keys}, {start} as fb_start0, {values} "
        f"from (select *, {rank} as fb_rank from {scope.name('rows')}) as ranked "
        f"qualify fb_rank = min(fb_rank) over (partition by {keys} order by {start} "
        "range between unbounded preceding and current row)"
    )
    features = (
        f"select s.{ROW}, {names} from {scope.name('spine')} as s "
        f"{nearest(scope, scope.name('winners'))}"
    )
    return [
        Subquery(scope.name("winners"), winners),
        Subquery(scope.name("features"), features),
    ]


def nearest(scope: ViewScope, relation: str) -> str:
    """SQL after ``from ... as s``: the relation's row, as w, that had started last by then.

    Never as a FULL join, which DuckDB 2.0 does not finish on one thread.
    """
    start = scope.rows.starts[0]
    return f"asof join {relation} as w on {scope.same_key('s', 'w')} and s.{AXIS} >= w.{start}"
