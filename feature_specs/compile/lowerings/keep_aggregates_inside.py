"""Keep aggregates over the clock alone in the query in which they stand.

Once the clock is a column of the spine, ``max(now())`` reads nothing of its own query, and SQL takes
such an aggregate for one of the query around it. A column of its own FROM, which changes no value,
keeps it where it is.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.clock import has_clock, is_clock


def keep_aggregates_inside(draft: Draft, query: exp.Query) -> exp.Query:
    """The query, every aggregate with a clock reading a column of its own FROM; a copy, if any does."""
    if not any(_reads_clock_alone(_whole(call)) for call in query.find_all(exp.AggFunc)):
        return query
    tree = query.copy()
    ctes = {cte.alias: cte.this for cte in tree.find_all(exp.CTE)}
    for call in list(tree.find_all(exp.AggFunc)):
        whole = _whole(call)
        select = whole.find_ancestor(exp.Select)
        if not _reads_clock_alone(whole) or select is None:
            continue
        column = _a_column(draft, select, ctes)
        for clock in [n for n in whole.walk() if is_clock(n)] if column is not None else []:
            known = exp.Is(this=column, expression=exp.Null())
            same = exp.Case(ifs=[exp.If(this=known, true=clock.copy())], default=clock.copy())
            clock.replace(same)
    return tree


def _whole(call: exp.Expr) -> exp.Expr:
    """The aggregate with its FILTER."""
    return call.parent if isinstance(call.parent, exp.Filter) else call


def _reads_clock_alone(whole: exp.Expr) -> bool:
    return has_clock(whole) and whole.find(exp.Column) is None


def _a_column(draft: Draft, select: exp.Select, ctes: dict[str, exp.Expr]) -> exp.Column | None:
    """Some column of a SELECT's first relation; None if it reads none."""
    start = select.args.get("from_")
    source = start.this if start is not None else None
    if isinstance(source, exp.Table):
        made = ctes.get(source.name)
        leaf = draft.leaves.get(source.name)
        names = (
            made.named_selects
            if isinstance(made, exp.Query)
            else list(leaf.columns if leaf else ())
        )
    else:
        names = source.this.named_selects if isinstance(source, exp.Subquery) else []
    if source is None or not names:
        return None
    return exp.column(names[0], table=source.alias_or_name, quoted=True)
