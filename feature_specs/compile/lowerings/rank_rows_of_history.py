"""Rank a history's rows, and read the answer from the first."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import IntervalForm
from feature_specs.compile.lowerings.interval_rows import over_rows
from feature_specs.compile.lowerings.lowered import ViewScope
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.time_axis import latest_sql
from feature_specs.quote import quoted


def ranking(scope: ViewScope, *, starts_alike: bool = False) -> str:
    """ORDER BY that puts the answering row first.

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


def answers_of(scope: ViewScope) -> list[tuple[str, exp.Expr]]:
    """Output columns of a row: event_time, then the stored columns."""
    form = scope.form
    event_time = scope.event_time
    timed = [(event_time, form.event_time)] if event_time and form.event_time is not None else []
    return [*timed, *form.columns.items()]


def answers_sql(scope: ViewScope, table: str | None = None) -> str:
    """The columns of ``answers_of`` as a select list, qualified by ``table`` if given."""
    return ", ".join(
        f"{duckdb_sql(over_rows(n, table))} as {quoted(c)}" for c, n in answers_of(scope)
    )


def starts_in_order(form: IntervalForm) -> bool:
    """Whether every row starts a fixed time after its event_time, so that starts and events have one order."""
    return len(form.window.starts) == 1 and form.window.starts[0].instant == form.event_time
