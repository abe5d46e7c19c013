"""Mark divisions that are of integers where both sides are: their types are known later."""

from __future__ import annotations

from sqlglot import exp

#: A division that is one of integers where both sides are, until their types are known.
TYPED_DIVISION = "fb_divide"


def mark_typed_divisions(query: exp.Expr) -> None:
    """Mark divisions, in place, where the dialect divides integers to an integer."""
    for node in list(query.find_all(exp.Div)):
        if node.args.get("typed"):
            node.replace(
                exp.Anonymous(this=TYPED_DIVISION, expressions=[node.this, node.expression])
            )
