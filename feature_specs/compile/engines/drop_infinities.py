"""Instants as microseconds without a place for infinite ones, which other engines do not have."""

from __future__ import annotations

from sqlglot import exp


def drop_infinities(tree: exp.Expr) -> None:
    """``coalesce(epoch_us(x), case x when 'infinity' ...)`` becomes ``epoch_us(x)``, in place."""
    for node in list(tree.find_all(exp.Coalesce)):
        (*_, ends) = node.expressions
        if isinstance(ends, exp.Case) and ends.this is not None:
            first = ends.args["ifs"][0].this
            if first == exp.Literal.string("infinity"):
                node.replace(node.this)
