"""Write every spelling of "now" as CURRENT_TIMESTAMP, the one clock of a query."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.clock import NOW_FUNCTIONS
from feature_specs.errors import UnsafeQueryError


def resolve_clock(draft: Draft) -> Draft:
    """Replace now(), current_date, localtimestamp and their like.

    Raises:
        UnsafeQueryError: a clock with an argument, or current_time, whose day is unknown.

    >>> show(resolve_clock, "select k, x from events where ts > get_current_timestamp()")
    SELECT "events"."k" AS "k", "events"."x" AS "x" FROM "events" AS "events" WHERE
    "events"."ts" > CURRENT_TIMESTAMP
    """
    return replace(draft, tree=draft.tree.transform(lambda node: _resolve(draft, node)))


def _resolve(draft: Draft, node: exp.Expr) -> exp.Expr:
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    if isinstance(node, exp.CurrentTimestamp) or name in NOW_FUNCTIONS:
        if node.args.get("this") and not isinstance(node, exp.Anonymous):
            raise UnsafeQueryError(
                "current_timestamp with an argument", where=draft.locate(node), hint="drop it"
            )
        return exp.CurrentTimestamp()
    if isinstance(node, exp.CurrentDate) or name == "today":
        if node.args.get("this") and not isinstance(node, exp.Anonymous):
            raise UnsafeQueryError(
                "current_date in a zone",
                where=draft.locate(node),
                hint="write cast(current_timestamp at time zone 'Zone' as date)",
            )
        return exp.cast(exp.CurrentTimestamp(), "date")
    if isinstance(node, (exp.Localtimestamp, exp.CurrentDatetime)):
        return exp.cast(exp.CurrentTimestamp(), "timestamp")
    if isinstance(node, (exp.CurrentTime, exp.Localtime)):
        raise UnsafeQueryError(
            "current_time has no day, so nothing says when it was",
            where=draft.locate(node),
            hint="write cast(current_timestamp as time)",
        )
    return node
