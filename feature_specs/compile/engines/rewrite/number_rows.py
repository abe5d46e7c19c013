"""Number rows by what they hold.

``row_number() over ()`` numbers rows as they come. Trino reads a common table expression anew for
each reader, and may then number them otherwise; Spark wants an order. Rows that are alike in all
columns are interchangeable, so the order of all columns that are read is enough.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.rewrite.trace_columns import SPINE, Trace, relations


def number_rows(statement: EngineStatement) -> None:
    """Give every row_number() without an order one, in place.

    >>> show(number_rows, "select k, x, row_number() over () as n from events", "trino")
    SELECT k, x, ROW_NUMBER() OVER (ORDER BY k, x) AS n FROM events
    """
    tree, trace = statement.tree, statement.trace
    for window in list(tree.find_all(exp.Window)):
        if not isinstance(window.this, exp.RowNumber) or window.args.get("order"):
            continue
        select = window.parent_select
        assert isinstance(select, exp.Select)
        keys: list[exp.Expr] = []
        for item in select.expressions:
            if item.is_star:
                keys += _of_star(tree, select, item, trace)
            elif not item.find(exp.Window):
                keys.append(item.unalias())
        keys = [k for k in dict.fromkeys(keys) if not isinstance(k, (exp.Literal, exp.Null))]
        order = [exp.Ordered(this=k.copy(), nulls_first=False) for k in keys]
        window.set("order", exp.Order(expressions=order) if order else None)


def _of_star(tree: exp.Expr, select: exp.Select, item: exp.Expr, trace: Trace) -> list[exp.Expr]:
    known = trace.starred(select, item)
    if known is None:
        # Of the spine: what the views read of it. Other columns are read with the row itself.
        alias = item.table if isinstance(item, exp.Column) else ""
        own = {s.alias for s in select.expressions}
        return [
            exp.column(n, table=alias, quoted=True) for n in _read_of_spine(tree) if n not in own
        ]
    return [exp.column(name, table=alias, quoted=True) for alias, name in known]


def _read_of_spine(tree: exp.Expr) -> list[str]:
    names: list[str] = []
    for select in tree.find_all(exp.Select):
        read = list(relations(select))
        if len(read) == 1 and isinstance(read[0], exp.Table) and read[0].name == SPINE:
            names += [c.name for c in select.find_all(exp.Column) if not c.is_star]
    return list(dict.fromkeys(names))
