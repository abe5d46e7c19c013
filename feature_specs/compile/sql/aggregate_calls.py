"""Find aggregate calls, with FILTER and IGNORE NULLS, and distinguish them from window functions."""

from __future__ import annotations

from sqlglot import exp

#: Wrappers around the call of an aggregate or a window function.
_AROUND = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls)


def function_of(call: exp.Expr) -> exp.Expr:
    """The function inside FILTER, IGNORE NULLS and RESPECT NULLS."""
    while isinstance(call, _AROUND):
        call = call.this
    return call


def whole_call(function: exp.Expr) -> exp.Expr:
    """A function together with the FILTER, IGNORE NULLS and RESPECT NULLS around it."""
    while isinstance(function.parent, _AROUND) and function.arg_key == "this":
        function = function.parent
    return function


def has_aggregates(select: exp.Select) -> bool:
    """Whether the select list or HAVING has an aggregate, which makes one row of many."""
    roots = [*select.selects, *([select.args["having"]] if select.args.get("having") else [])]
    return any(
        isinstance(node, exp.AggFunc) and not is_window_function(node)
        for root in roots
        for node in root.walk(prune=lambda n: isinstance(n, exp.Query))
    )


def is_window_function(node: exp.Expr) -> bool:
    """Whether the aggregate is called as a window function."""
    call = whole_call(node)
    return isinstance(call.parent, exp.Window) and call.arg_key == "this"
