"""Rename tables whose alias is also the name of a column in a query inside.

In ``select (select count(*) from e where e.k = d.k) from d`` Trino takes ``d.k`` for a field of a
column ``d`` of ``e``, where there is one.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.rewrite.trace_columns import Trace, relations


def rename_tables(statement: EngineStatement) -> None:
    """Rename such tables, in place; before anything else changes the statement.

    >>> show(
    ...     rename_tables,
    ...     "select k.k, (select count(*) from events as e where e.k = k.k) as n from "
    ...     "versions as k",
    ...     "trino",
    ... )
    SELECT "k__0".k, (SELECT COUNT(*) FROM events AS e WHERE e.k = "k__0".k) AS n FROM
    versions AS "k__0"
    """
    tree, trace = statement.tree, statement.trace
    for number, select in enumerate(list(tree.find_all(exp.Select))):
        mine = trace.sources(select)
        if not mine:
            continue
        inner = {
            name
            for query in select.find_all(exp.Select)
            if query is not select
            for names in trace.sources(query).values()
            for name in names or ()
        }
        for node in relations(select):
            alias = node.alias_or_name
            if alias in inner:
                _rename(select, node, alias, f"{alias}__{number}", trace)


def _rename(select: exp.Select, node: exp.Expr, old: str, new: str, trace: Trace) -> None:
    for column in list(select.find_all(exp.Column)):
        if column.table == old and _owner(column, old, trace) is select:
            column.set("table", exp.to_identifier(new, quoted=True))
    node.set("alias", exp.TableAlias(this=exp.to_identifier(new, quoted=True)))
    trace.rename(select, old, new)


def _owner(column: exp.Column, alias: str, trace: Trace) -> exp.Expr | None:
    select = column.parent_select
    while select is not None and alias not in trace.sources(select):
        select = select.parent_select
    return select
