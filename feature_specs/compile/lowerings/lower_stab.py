"""Join each spine row with the rows alive at its instant: right for every interval form.

Its cost grows with the rows of a key (DESIGN 3, lowering 4): the last resort among the fast ones,
and the best where keys have few rows.
"""

from __future__ import annotations

from feature_specs.compile.draft import Contribution, Subquery
from feature_specs.compile.duckdb_sql import duckdb_sql
from feature_specs.compile.interval_rows import condition_of, over_rows
from feature_specs.compile.lowerings.lower_latest import answers_sql, ranking
from feature_specs.compile.lowerings.lowered import (
    AXIS,
    ROW,
    Piece,
    Scope,
    filtered,
    names_of,
    quoted,
)


def lower_stab(scope: Scope, parts: list[Contribution]) -> Piece:
    """Lower any aggregates of the form."""
    values = []
    for part in parts:
        test = condition_of(scope.form, part)
        tests = [f"({duckdb_sql(test)})"] if test is not None else []
        if part.window != scope.form.window:
            tests.append(alive(scope, scope.rows.place(part.window)))
        value = filtered(over_rows(part.function), " and ".join(tests) or None)
        values.append(f"{value} as {part.name}")
    sql = (
        f"select s.{ROW}, {', '.join(values)} from {scope.name('spine')} as s "
        f"join {scope.name('rows')} as r on {scope.same_key('s', 'r')} and {alive(scope, 0)} "
        f"group by s.{ROW}"
    )
    name = scope.name("stabbed")
    return Piece(name, (Subquery(name, sql),), names_of(parts))


def stab_rows(scope: Scope) -> Subquery:
    """Of the rows of each entity that are alive: a history's newest, else the only one."""
    if scope.form.event_time is not None:
        return _stab_history(scope)
    values = ", ".join(
        f"first({duckdb_sql(over_rows(node))}) as {quoted(name)}"
        for name, node in scope.form.columns.items()
    )
    sql = (
        f"select s.{ROW}, {values} from {scope.name('spine')} as s "
        f"join {scope.name('rows')} as r on {scope.same_key('s', 'r')} and {alive(scope, 0)} "
        f"group by s.{ROW} having {one_row_guard(scope.prefix)}"
    )
    return Subquery(scope.name("features"), sql)


def _stab_history(scope: Scope) -> Subquery:
    values = answers_sql(scope)
    sql = (
        f"select s.{ROW}, {values} from {scope.name('spine')} as s "
        f"join {scope.name('rows')} as r on {scope.same_key('s', 'r')} and {alive(scope, 0)} "
        f"qualify row_number() over (partition by s.{ROW} order by {ranking(scope)}) = 1"
    )
    return Subquery(scope.name("features"), sql)


def alive(scope: Scope, place: int) -> str:
    """SQL that holds while a row counts in a window."""
    start, end = scope.rows.starts[place], scope.rows.ends[place]
    text = f"r.{start} <= s.{AXIS}"
    return f"{text} and s.{AXIS} < r.{end}" if end is not None else text


def one_row_guard(view: str) -> str:
    """SQL for HAVING that stops the query when a group holds a second row."""
    return (
        "case when count(*) > 1 then cast(error("
        f"'{view}: two rows for one entity at one instant; group by the entities, or declare event_time'"
        ") as boolean) else true end"
    )
