"""Taking a condition apart into what must hold together, and adding to it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The parts of a conjunction, BETWEEN as two comparisons; nothing for None."""
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
    """The query itself with one condition more, whose DuckDB text is put in as it stands."""
    return query.where(exp.paren(exp.var(test), copy=False), copy=False)


def conjunction(parts: list[exp.Expr]) -> exp.Expr | None:
    """The parts put together again; None for none, which holds always."""
    return exp.and_(*(p.copy() for p in parts)) if parts else None
