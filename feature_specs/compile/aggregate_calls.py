"""Aggregates told from window functions."""

from __future__ import annotations

from sqlglot import exp


def aggregates(select: exp.Select) -> bool:
    """The select list or HAVING has an aggregate, so that a row is made of many."""
    roots = [*select.selects, *([select.args["having"]] if select.args.get("having") else [])]
    return any(
        isinstance(node, exp.AggFunc) and not is_window_function(node)
        for root in roots
        for node in root.walk(prune=lambda n: isinstance(n, exp.Query))
    )


def is_window_function(node: exp.Expr) -> bool:
    """The aggregate runs over a window, of groups where the query groups."""
    parent = node.parent
    while isinstance(parent, (exp.Filter, exp.IgnoreNulls, exp.RespectNulls)):
        node, parent = parent, parent.parent
    return isinstance(parent, exp.Window) and node.arg_key == "this"
