"""Split a condition into its conjuncts, and add one to a query."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conjuncts of a condition, BETWEEN as two comparisons; empty for None."""
    if node is None:
        return
    if isinstance(node, (exp.Where, exp.Having, exp.Qualify, exp.Paren)):
        yield from conjuncts(node.this)
    elif isinstance(node, exp.And):
        yield from conjuncts(node.this)
        yield from conjuncts(node.expression)
    elif isinstance(node, exp.Between) and not node.args.get("symmetric"):
        yield exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
        yield exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
    else:
        yield node


def narrow(query: exp.Select, test: str) -> exp.Select:
    """Add a WHERE condition, given as DuckDB SQL, in place."""
    return query.where(exp.paren(exp.var(test), copy=False), copy=False)
