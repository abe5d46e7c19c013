"""Evaluate the cut query once for every spine row: right for every view that compiles.

The engine unnests the correlated join itself (Neumann and Kemper, "Unnesting Arbitrary Queries").
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft, Subquery
from feature_specs.compile.leaves.bound_leaves import bound_leaves
from feature_specs.compile.lowerings.keep_aggregates_inside import keep_aggregates_inside
from feature_specs.compile.lowerings.lowered import AXIS, ROW
from feature_specs.compile.normalize.note_visibility import SEEN, sees
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.one_row_guard import one_row_guard
from feature_specs.errors import CompileError
from feature_specs.quote import quoted


def lower_decorrelated(draft: Draft) -> list[Subquery]:
    """Subqueries ``instants`` and ``features`` of any view.

    Raises:
        CompileError: DuckDB cannot evaluate it beside an outer row.
    """
    view = draft.view
    for node in draft.stored.find_all(exp.In):
        if isinstance(node.this, exp.Tuple) and node.args.get("query"):
            raise CompileError(
                "`(a, b) in (select ...)` cannot be evaluated for one instant after the other by "
                f"DuckDB, and this view needs that: {draft.why_no_form or 'it was asked for'}",
                where=draft.locate(node),
                hint="write `exists (select 1 from ... where ...)`",
            )
    instants, features = f'"{view.name}__instants"', f'"{view.name}__features"'
    stored = keep_aggregates_inside(draft, draft.stored)
    cut = bound_leaves(draft, stored, exp.column("fb_instant", table="fb_s", quoted=False))
    keys = " and ".join(f"fb_s.{quoted(k)} = q.{quoted(k)}" for k in view.entities)
    spine = f'"{view.name}__spine"'
    names = [*([view.event_time] if view.event_time else []), *draft.stored_names]
    if view.event_time is None:
        values = ", ".join(f"first(q.{quoted(n)}) as {quoted(n)}" for n in names)
        tail = f"group by fb_s.{ROW} having {one_row_guard(view.name)}"
    else:
        values = ", ".join(f"q.{quoted(n)}" for n in names)
        tail = (
            f"where not q.{quoted(view.event_time)} is null "
            f"qualify row_number() over (partition by fb_s.{ROW} order by {row_order(draft)}) = 1"
        )
    sql = (
        f"select fb_s.{ROW}, {values} from {instants} as fb_s "
        f"join lateral ({duckdb_sql(cut)}) as q on {keys} {tail}"
    )
    listed = ", ".join(quoted(k) for k in view.entities)
    return [
        Subquery(
            instants, f"select {ROW}, {listed}, make_timestamptz({AXIS}) as fb_instant from {spine}"
        ),
        Subquery(features, sql),
    ]


def row_order(draft: Draft) -> str:
    """ORDER BY over the query's own output that puts a history view's answer first."""
    view = draft.view
    assert view.event_time is not None
    first = [view.event_time, *view.tie_break]
    first += [SEEN] if sees(draft) else []
    rest = [n for n in draft.stored_names if n not in first]
    return ", ".join(f"q.{quoted(n)} desc nulls last" for n in [*first, *rest])
