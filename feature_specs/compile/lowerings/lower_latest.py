"""The latest row of each entity as of each instant, by one sorted pass or one as-of join.

Rows are ranked by event_time, tie_break, when they became visible and their values. A row is ever
the answer only if no row visible by its start outranks it; keep those, and the answer at t is the
kept row with the greatest start (DESIGN 3, lowering 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import IntervalForm, Subquery
from feature_specs.compile.duckdb_sql import duckdb_sql
from feature_specs.compile.interval_rows import over_rows
from feature_specs.compile.lowerings.last_starts import last_starts
from feature_specs.compile.lowerings.lowered import AXIS, ROW, Scope, quoted
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
    return not form.grouped and form.event_time is not None and not starts_in_order(form)


def lower_in_order(histories: Sequence[Scope]) -> tuple[list[Subquery], str]:
    """Subqueries of histories with the same keys, and SQL that joins their features to the spine.

    Match on the starts alone, then fetch the rows that start then: once each, however many spine
    rows they answer, so that memory is needed for neither the history nor a copy a spine row.
    """
    first = histories[0]
    matched = first.name("matched")
    features = [_fetched(h, first, place) for place, h in enumerate(histories)]
    joins = [f"left join {matched} on {matched}.{ROW} = fb_spine.{ROW}"]
    # A whole number is its own fb_key, which need not be carried to where the spine has it.
    key = f"fb_spine.{first.keys[0]}" if first.whole_key else f"{matched}.fb_key"
    for place, history in enumerate(histories):
        own, start = history.name("features"), history.rows.starts[0]
        joins.append(
            f"left join {own} on {key} = {own}.fb_key "
            f"and {matched}.fb_matched{place} = {own}.{start} and fb_spine.{AXIS} >= {own}.{start}"
        )
    return [*last_starts(histories), *features], " ".join(joins)


def _fetched(history: Scope, first: Scope, place: int) -> Subquery:
    """The rows that matched, of those that start at once the one that answers.

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
        f"on {key} = m.fb_key and r.{start} = m.fb_matched{place} and m.fb_first{place}"
    )
    order = ranking(history, starts_alike=True)
    rank = f"row_number() over (partition by {key}, r.{start} order by {order})"
    return Subquery(
        history.name("features"),
        f"{fetched} and not m.fb_tied{place} "
        f"union all {fetched} and m.fb_tied{place} qualify {rank} = 1",
        shared=False,
    )


def lower_late(scope: Scope) -> list[Subquery]:
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


def starts_in_order(form: IntervalForm) -> bool:
    """Every row starts a fixed time after its event_time, so later starts mean later events."""
    return len(form.window.starts) == 1 and form.window.starts[0].instant == form.event_time
