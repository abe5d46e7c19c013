"""Join each spine row with the rows alive at its instant: right for every interval form.

Its cost grows with the rows of a key (DESIGN 3, lowering 4): the last resort among the fast ones,
and the best where keys have few rows.
"""

from __future__ import annotations

from feature_specs.compile.draft import AggregateCall, Subquery
from feature_specs.compile.lowerings.interval_rows import condition_of, over_rows
from feature_specs.compile.lowerings.lowered import AXIS, ROW, Piece, ViewScope, filtered, names_of
from feature_specs.compile.lowerings.rank_rows_of_history import answers_sql, ranking
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.one_row_guard import one_row_guard
from feature_specs.quote import quoted


def lower_stab(scope: ViewScope, parts: list[AggregateCall]) -> Piece:
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


def stab_rows(scope: ViewScope) -> Subquery:
    """Each entity's row that is alive: the newest of a history, else the only one."""
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


def _stab_history(scope: ViewScope) -> Subquery:
    values = answers_sql(scope)
    sql = (
        f"select s.{ROW}, {values} from {scope.name('spine')} as s "
        f"join {scope.name('rows')} as r on {scope.same_key('s', 'r')} and {alive(scope, 0)} "
        f"qualify row_number() over (partition by s.{ROW} order by {ranking(scope)}) = 1"
    )
    return Subquery(scope.name("features"), sql)


def alive(scope: ViewScope, place: int) -> str:
    """SQL condition under which a row counts in a window."""
    start, end = scope.rows.starts[place], scope.rows.ends[place]
    text = f"r.{start} <= s.{AXIS}"
    return f"{text} and s.{AXIS} < r.{end}" if end is not None else text
