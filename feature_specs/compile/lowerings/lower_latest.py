"""The latest row of each entity as of each instant, by one sorted pass or one as-of join.

Rows are ranked by event_time, tie_break, when they became visible and their values. A row is ever
the answer only if no row visible by its start outranks it; keep those, and the answer at t is the
kept row with the greatest start (DESIGN 3, lowering 1).
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import IntervalForm, Subquery
from feature_specs.compile.duckdb_sql import duckdb_sql
from feature_specs.compile.interval_rows import over_rows
from feature_specs.compile.lowerings.lowered import AXIS, ROW, Scope, quoted
from feature_specs.compile.lowerings.sorted_axis import (
    MARKERS,
    SO_FAR,
    distinct_keys,
    followed,
    numbered_keys,
)
from feature_specs.compile.time_axis import latest_sql


def lowers_to_latest(form: IntervalForm) -> str | None:
    """None where the form is a history whose rows last, else the reason why not."""
    if form.grouped or form.event_time is None:
        return "it is not a history of plain rows"
    if not form.window.lasting:
        return "rows leave again"
    return None


def ranks_by_start(form: IntervalForm) -> bool:
    """Rows of one event_time may have become visible one after the other."""
    return not form.grouped and form.event_time is not None and not _starts_in_order(form)


def lower_latest(scope: Scope) -> list[Subquery]:
    """Subqueries, of which the last is ``features``, of a history view."""
    return _lower_in_order(scope) if _starts_in_order(scope.form) else _lower_late(scope)


def _lower_in_order(scope: Scope) -> list[Subquery]:
    """Match on the start alone, fetch the rows that start then, and settle the few that tie.

    Only keys and instants are sorted, no features. Two rows of one key that start at once stand
    side by side in the pass, so it tells which instants need their rows ranked.
    """
    start, rows = scope.rows.starts[0], scope.name("rows")
    fetched = (
        f"select m.{ROW}, {answers_sql(scope)} from {rows} as r join {scope.name('matched')} as m "
        f"on {scope.same_key('m', 'r')} and m.fb_matched = r.{start} and m.{AXIS} >= r.{start}"
    )
    rank = f"row_number() over (partition by m.{ROW} order by {ranking(scope, starts_alike=True)})"
    return [
        *_match(scope),
        Subquery(
            scope.name("features"),
            f"{fetched} where not m.fb_tied union all {fetched} where m.fb_tied qualify {rank} = 1",
            shared=False,
        ),
    ]


def _match(scope: Scope) -> list[Subquery]:
    """``matched``: for each spine row the last start before it, of whichever key.

    A spine row before all rows of its key is given a start of another key's. No row of its own key
    has that start by its instant, since it would then be the last before it; so fetching by key,
    start and instant finds none. A row that starts at once with the one before it is counted half a
    place further on, which says that the two tie.
    """
    start, axis, ids = scope.rows.starts[0], scope.name("axis"), scope.name("ids")
    tied = "case when fb_key_before = fb_key and fb_place_before = fb_place then 1 else 0 end"
    last = f"last_value(case when fb_mark is null then fb_place + {tied} end ignore nulls)"
    # A whole number sorts as fast as a number for it; other keys are handed on by the markers.
    carried = [] if scope.whole_key else scope.keys
    nulls = "".join(f", null as {k}" for k in carried)
    values = "".join(f", s.{k}" for k in carried)
    keys = ", ".join(carried or [f"fb_key as {k}" for k in scope.keys])
    return [
        distinct_keys(scope) if scope.whole_key else numbered_keys(scope),
        Subquery(
            axis,
            f"select i.fb_key, r.{start} * 2 as fb_place, cast(null as bigint) as fb_mark{nulls} "
            f"from {scope.name('rows')} as r join {ids} as i on {scope.same_key('r', 'i')} "
            f"union all select i.fb_key, s.{AXIS} * 2 + 1, s.{ROW}{values} "
            f"from {scope.name('spine')} as s join {ids} as i on {scope.same_key('s', 'i')}",
            shared=False,
        ),
        Subquery(
            scope.name("matched"),
            f"select fb_mark as {ROW}, {keys}, (fb_place - 1) // 2 as {AXIS}, "
            "(fb_last - (fb_last & 1)) // 2 as fb_matched, fb_last & 1 = 1 as fb_tied "
            f"from (select *, {last} over ({SO_FAR}) as fb_last from {followed(axis)}) as running "
            f"where {MARKERS}",
        ),
    ]


def _lower_late(scope: Scope) -> list[Subquery]:
    """Keep the rows that no row outranks that starts by then, and match on their starts."""
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


def nearest(scope: Scope, relation: str) -> str:
    """SQL after ``from ... as s``: the row of a relation, as w, that started last by then.

    Never as a FULL join, which DuckDB 2.0 does not finish on one thread.
    """
    start = scope.rows.starts[0]
    return f"asof join {relation} as w on {scope.same_key('s', 'w')} and s.{AXIS} >= w.{start}"


def ranking(scope: Scope, *, starts_alike: bool = False) -> str:
    """SQL for ORDER BY: the row that answers first comes first.

    Args:
        starts_alike: the rows ranked all start at once.
    """
    form, start = scope.form, scope.rows.starts[0]
    assert form.event_time is not None
    if form.visible:
        seen = [replace(t, instant=over_rows(t.instant)) for t in form.visible]
        start = latest_sql(seen) or start
    first: list[exp.Expr] = [form.event_time, *form.tie_break]
    rest = [n for n in form.columns.values() if n not in first]
    before = [f"{duckdb_sql(over_rows(n))} desc nulls last" for n in first]
    after = [f"{duckdb_sql(over_rows(n))} desc nulls last" for n in rest]
    return ", ".join([*before, *([] if starts_alike else [f"{start} desc"]), *after])


def answers_of(scope: Scope) -> list[tuple[str, exp.Expr]]:
    """Output columns of a row: event_time, then what is stored."""
    form = scope.form
    event_time = scope.event_time
    timed = [(event_time, form.event_time)] if event_time and form.event_time is not None else []
    return [*timed, *form.columns.items()]


def answers_sql(scope: Scope, table: str | None = None) -> str:
    """What ``answers_of`` gives as a select list over the rows, which ``table`` names if need be."""
    return ", ".join(
        f"{duckdb_sql(over_rows(n, table))} as {quoted(c)}" for c, n in answers_of(scope)
    )


def _starts_in_order(form: IntervalForm) -> bool:
    """Every row starts a fixed time after its event_time, so later starts mean later events."""
    return len(form.window.starts) == 1 and form.window.starts[0].instant == form.event_time
