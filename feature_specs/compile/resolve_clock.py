"""Write every spelling of "now" as CURRENT_TIMESTAMP, the one clock of a query."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.errors import UnsafeQueryError

_NOW = {"now", "get_current_timestamp", "transaction_timestamp"}


def resolve_clock(draft: Draft) -> Draft:
    """Replace now(), current_date, localtimestamp and their like.

    Raises:
        UnsafeQueryError: a clock with an argument, or current_time, whose day is unknown.
    """
    return replace(draft, tree=draft.tree.transform(lambda node: _resolve(draft, node)))


def is_now(node: exp.Expr) -> bool:
    """One of the spellings of the instant itself, before they are resolved."""
    return isinstance(node, (exp.CurrentTimestamp, exp.Localtimestamp)) or (
        isinstance(node, exp.Anonymous) and node.name.lower() in _NOW
    )


def is_clock(node: exp.Expr) -> bool:
    return isinstance(node, exp.CurrentTimestamp)


def has_clock(node: exp.Expr) -> bool:
    return node.find(exp.CurrentTimestamp) is not None


def bind_clock(tree: exp.Expr, instant: exp.Expr) -> exp.Expr:
    """A copy of the query in which the clock stands at ``instant`` (a timestamptz expression)."""
    return tree.transform(lambda node: instant.copy() if is_clock(node) else node)


def _resolve(draft: Draft, node: exp.Expr) -> exp.Expr:
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    if isinstance(node, exp.CurrentTimestamp) or name in _NOW:
        if node.args.get("this") and not isinstance(node, exp.Anonymous):
            raise UnsafeQueryError(
                "current_timestamp with an argument", where=draft.locate(node), mend="drop it"
            )
        return exp.CurrentTimestamp()
    if isinstance(node, exp.CurrentDate) or name == "today":
        if node.args.get("this") and not isinstance(node, exp.Anonymous):
            raise UnsafeQueryError(
                "current_date in a zone",
                where=draft.locate(node),
                mend="write cast(current_timestamp at time zone 'Zone' as date)",
            )
        return exp.cast(exp.CurrentTimestamp(), "date")
    if isinstance(node, (exp.Localtimestamp, exp.CurrentDatetime)):
        return exp.cast(exp.CurrentTimestamp(), "timestamp")
    if isinstance(node, (exp.CurrentTime, exp.Localtime)):
        raise UnsafeQueryError(
            "current_time has no day, so nothing says when it was",
            where=draft.locate(node),
            mend="write cast(current_timestamp as time)",
        )
    return node
