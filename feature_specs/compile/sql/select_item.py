"""An item of a select list."""

from __future__ import annotations

from sqlglot import exp


def select_item(value: exp.Expr, name: str) -> exp.Alias:
    """A value under a quoted name.

    SQLGlot's `exp.alias_` gives a scalar subquery an alias of its own, as FROM needs it, which is lost
    where a pass replaces the subquery by its value.

    >>> select_item(exp.maybe_parse("(select 1)"), "x").sql()
    '(SELECT 1) AS "x"'
    """
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))
