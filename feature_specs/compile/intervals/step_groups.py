"""A nested GROUP BY: each group's values change only where one of its rows starts or ends.

So its step function is its value at each of those instants, read like any point-in-time, by the
same lowerings, and good until the next of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import IntervalForm, Subquery
from feature_specs.compile.intervals.interval_relation import (
    END,
    START,
    CteBuilder,
    IntervalRelation,
    listed,
)
from feature_specs.compile.lowerings.choose_lowering import choose_parts
from feature_specs.compile.lowerings.interval_rows import interval_rows
from feature_specs.compile.lowerings.lower_aggregates import lower_aggregates
from feature_specs.compile.lowerings.lowered import AXIS, ROW, ViewScope
from feature_specs.compile.sql.time_axis import ALWAYS, NEVER

GROUP = "fb_group"


def step_groups(
    ctes: CteBuilder, form: IntervalForm, keys: Mapping[str, exp.Expr]
) -> IntervalRelation:
    """Derive the lifetimes of a form's groups.

    Args:
        form: its ``columns`` name what each group hands on besides its keys.
        keys: name to expression of the grouping keys; none for a single group that always exists.
    """
    form = replace(form, keys=tuple(keys.values()))
    rows = interval_rows(ctes.draft, form, nullable=list(keys))
    prefix = f"{ctes.draft.view.name}__{len(ctes.made) + 1}_group"
    scope = ViewScope(prefix, (GROUP,), form, rows)
    names = ", ".join(f'"{k}"' for k in keys)
    number = f"dense_rank() over (order by {names})" if keys else "cast(1 as bigint)"
    _add(ctes, scope, "rows", f"select *, {number} as {GROUP} from ({rows.sql}) as members")
    edges = [f"select {GROUP}, {c} as {AXIS} from {scope.name('rows')}" for c in rows.starts]
    edges += [f"select {GROUP}, {c} from {scope.name('rows')}" for c in rows.ends if c is not None]
    if not keys:
        edges.append(f"select cast(1 as bigint), {ALWAYS}")
    _add(
        ctes,
        scope,
        "spine",
        f"select row_number() over () as {ROW}, {GROUP}, {AXIS}, "
        f"lead({AXIS}, 1, {NEVER}) over (partition by {GROUP} order by {AXIS}) as fb_till "
        f"from (select distinct * from ({' union all '.join(dict.fromkeys(edges))}) as edges "
        f"where {AXIS} < {NEVER}) as edges",
    )
    for made in lower_aggregates(scope, choose_parts(form).parts, always=not keys):
        ctes.made.append(made)
    held = ""
    if keys:
        firsts = ", ".join(f'first("{k}") as "{k}"' for k in keys)
        _add(
            ctes,
            scope,
            "keys",
            f"select {GROUP}, {firsts} from {scope.name('rows')} group by {GROUP}",
        )
        held = f" join {scope.name('keys')} as k on k.{GROUP} = s.{GROUP}"
    sql = (
        f"select {listed(keys, 'k')}{listed(form.columns, 'f')}s.{AXIS} as {START}, "
        f"s.fb_till as {END} from {scope.name('spine')} as s "
        f"join {scope.name('features')} as f on f.{ROW} = s.{ROW}{held}"
    )
    return IntervalRelation(
        ctes.add("groups", sql),
        (*keys, *form.columns),
        unique=frozenset(keys) if keys else frozenset(),
    )


def _add(ctes: CteBuilder, scope: ViewScope, part: str, sql: str) -> None:
    ctes.made.append(Subquery(scope.name(part), sql))
