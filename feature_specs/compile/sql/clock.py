"""Recognize the clock of a query in all its spellings, and bind it."""

from __future__ import annotations

from sqlglot import exp

NOW_FUNCTIONS = {"now", "get_current_timestamp", "transaction_timestamp"}


def is_now(node: exp.Expr) -> bool:
    """Whether a node is a spelling of the current instant, before the clock is resolved."""
    return isinstance(node, (exp.CurrentTimestamp, exp.Localtimestamp)) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in NOW_FUNCTIONS
    )


def is_clock(node: exp.Expr) -> bool:
    return isinstance(node, exp.CurrentTimestamp)


def has_clock(node: exp.Expr) -> bool:
    return node.find(exp.CurrentTimestamp) is not None


def bind_clock(tree: exp.Expr, instant: exp.Expr) -> exp.Expr:
    """A copy of the query in which the clock stands at ``instant`` (a timestamptz expression)."""
    return tree.transform(lambda node: instant.copy() if is_clock(node) else node)
