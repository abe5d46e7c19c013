"""The latest row of each entity as of each instant, by one as-of join.

Rows are ranked by event_time, tie_break, when they became visible and their values. A row is ever
the answer only if no row visible by its start outranks it; keep those, and the answer at t is the
kept row with the greatest start (DESIGN 3, lowering 1).
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import IntervalForm, Subquery
from feature_specs.compile.interval_rows import over_rows
from feature_specs.compile.lowered import AXIS, ROW, Scope, quoted


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
    """Subqueries ``winners`` and ``features`` of a history view."""
    keys = ", ".join(scope.keys)
    start = scope.rows.starts[0]
    values = ", ".join(f"{over_rows(n).sql('duckdb')} as {quoted(c)}" for c, n in answers(scope))
    names = ", ".join(f"w.{quoted(c)}" for c, _ in answers(scope))
    rows = scope.name("rows")
    if _starts_in_order(scope.form):
        first = f"row_number() over (partition by {keys}, {start} order by {ranking(scope)}) = 1"
    else:
        rank = f"row_number() over (partition by {keys} order by {ranking(scope)})"
        rows = f"(select *, {rank} as fb_rank from {rows}) as ranked"
        first = (
            f"fb_rank = min(fb_rank) over (partition by {keys} order by {start} "
            "range between unbounded preceding and current row)"
        )
    winners = f"select {keys}, {start} as fb_start0, {values} from {rows} qualify {first}"
    features = (
        f"select s.{ROW}, {names} from {scope.name('spine')} as s "
        f"asof join {scope.name('winners')} as w "
        f"on {scope.same_key('s', 'w')} and s.{AXIS} >= w.fb_start0"
    )
    return [
        Subquery(scope.name("winners"), winners),
        Subquery(scope.name("features"), features),
    ]


def ranking(scope: Scope) -> str:
    """SQL for ORDER BY: the row that answers first comes first."""
    form, start = scope.form, scope.rows.starts[0]
    assert form.event_time is not None
    first: list[exp.Expr] = [form.event_time, *form.tie_break]
    rest = [n for n in form.columns.values() if n not in first]
    before = [f"{over_rows(n).sql('duckdb')} desc nulls last" for n in first]
    after = [f"{over_rows(n).sql('duckdb')} desc nulls last" for n in rest]
    return ", ".join([*before, f"{start} desc", *after])


def answers(scope: Scope) -> list[tuple[str, exp.Expr]]:
    """Output columns of a row: event_time, then what is stored."""
    form = scope.form
    event_time = scope.event_time
    timed = [(event_time, form.event_time)] if event_time and form.event_time is not None else []
    return [*timed, *form.columns.items()]


def _starts_in_order(form: IntervalForm) -> bool:
    """Every row starts a fixed time after its event_time, so later starts mean later events."""
    return len(form.window.starts) == 1 and form.window.starts[0].instant == form.event_time
