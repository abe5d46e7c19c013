"""A tree as DuckDB's SQL: what every pass that makes text asks for, some hundred times a view."""

from __future__ import annotations

from sqlglot import Dialect, exp

#: Handed on as it is; its name would be looked up each time.
DUCKDB = Dialect.get_or_raise("duckdb")

#: Nodes that SQLGlot writes without rewriting the tree first, so that no copy is needed.
_WRITTEN_AS_THEY_STAND: frozenset[type[exp.Expr]] = frozenset({
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Var, exp.Paren, exp.Neg,
    exp.And, exp.Or, exp.Not, exp.Is, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Add,
    exp.Sub, exp.Mul, exp.Filter, exp.Where, exp.Count, exp.Sum, exp.Min, exp.Max, exp.Star,
})  # fmt: skip


def duckdb_sql(node: exp.Expr) -> str:
    """The node as SQL; it is left as it was."""
    rewritten = any(type(n) not in _WRITTEN_AS_THEY_STAND for n in node.walk())
    return DUCKDB.generator().generate(node, copy=rewritten)
