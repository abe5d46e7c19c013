"""Add the parentheses without which DuckDB would parse another tree.

The levels are those of DuckDB's grammar (expression.gram), as ``group_operators`` reads them; here
they stand for the form in which SQLGlot writes a node, so that ``a ^ b``, which is written as
``POWER(a, b)``, has none.
"""

from __future__ import annotations

from sqlglot import exp

_OTHER = (exp.DPipe, exp.JSONExtractScalar, exp.ArrayContainsAll, exp.ArrayContainedBy,
          exp.ArrayOverlaps)  # fmt: skip
_MATCHES = (exp.Like, exp.ILike, exp.Glob, exp.SimilarTo, exp.Escape)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_BITS = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseLeftShift, exp.BitwiseRightShift)
_SUMS = (exp.Add, exp.Sub)
_PRODUCTS = (exp.Mul, exp.Div, exp.IntDiv, exp.Mod)

#: How tightly each binds: the greater, the tighter.
_LEVELS: dict[type[exp.Expr], int] = {
    exp.Lambda: 0, exp.JSONExtract: 0, exp.Or: 10, exp.And: 20, exp.Not: 30, exp.Is: 40,
    exp.NullSafeEQ: 50, exp.NullSafeNEQ: 50,
    **dict.fromkeys(_COMPARISONS, 60),
    exp.In: 70, exp.Between: 70, **dict.fromkeys(_MATCHES, 70),
    **dict.fromkeys(_OTHER, 80),
    **dict.fromkeys(_BITS, 90),
    exp.BitwiseNot: 95,
    **dict.fromkeys(_SUMS, 100), exp.DateAdd: 100, exp.DateSub: 100,
    **dict.fromkeys(_PRODUCTS, 110), exp.Distance: 110,
    exp.Collate: 130, exp.AtTimeZone: 140, exp.Neg: 150,
}  # fmt: skip
_TIGHTEST = 160

#: The least binding strength at which an operand needs no parentheses.
_SLOTS: dict[tuple[type[exp.Expr], str], int] = {
    (exp.JSONExtract, "this"): 0, (exp.JSONExtract, "expression"): 10,
    (exp.Or, "this"): 10, (exp.Or, "expression"): 10,
    (exp.And, "this"): 20, (exp.And, "expression"): 20,
    (exp.Not, "this"): 30, (exp.Is, "this"): 50,
    (exp.NullSafeEQ, "this"): 50, (exp.NullSafeEQ, "expression"): 60,
    (exp.NullSafeNEQ, "this"): 50, (exp.NullSafeNEQ, "expression"): 60,
    **{(kind, side): 70 for kind in _COMPARISONS for side in ("this", "expression")},
    (exp.In, "this"): 80, (exp.In, "field"): _TIGHTEST,
    (exp.Between, "this"): 80, (exp.Between, "low"): 80, (exp.Between, "high"): 80,
    **{(kind, side): 80 for kind in _MATCHES for side in ("this", "expression")},
    (exp.Escape, "this"): 70,
    (exp.BitwiseNot, "this"): 100,
    (exp.DateAdd, "this"): 100, (exp.DateSub, "this"): 100,
    (exp.DateAdd, "expression"): 110, (exp.DateSub, "expression"): 110,
    (exp.Collate, "this"): 130, (exp.AtTimeZone, "this"): 140, (exp.AtTimeZone, "zone"): 150,
    (exp.Neg, "this"): 150, (exp.Bracket, "this"): _TIGHTEST, (exp.Dot, "this"): _TIGHTEST,
    (exp.Slice, "this"): 10, (exp.Slice, "expression"): 10,
    **{(kind, "this"): _LEVELS[kind] for kind in (*_OTHER, *_BITS, *_SUMS, *_PRODUCTS)},
    **{(kind, "expression"): _LEVELS[kind] + 1 for kind in (*_OTHER, *_BITS, *_SUMS, *_PRODUCTS)},
    (exp.Distance, "this"): 110, (exp.Distance, "expression"): 111,
}  # fmt: skip


def is_misread(node: exp.Expr) -> bool:
    """Whether a node needs parentheses in its place."""
    level = _LEVELS.get(type(node))
    if level is None:
        return False
    parent = node.parent
    if level == 0:  # an arrow: whatever the text is put into
        return isinstance(node, exp.JSONExtract) and not isinstance(parent, exp.Paren)
    if parent is None:
        return False
    slot = _SLOTS.get((type(parent), node.arg_key or ""))
    if slot is None:
        return False
    if type(parent) in _COMPARISONS and isinstance(parent.expression, (exp.Any, exp.All)):
        slot = 90  # ``= any(...)`` has the level of ``||``
    return level < slot


def parenthesised(node: exp.Expr) -> exp.Expr:
    """A copy of the node with all the parentheses that DuckDB's grammar needs."""
    copied = node.copy()
    for inner in list(copied.walk()):
        if is_misread(inner):
            around = exp.Paren()
            if inner is copied:
                copied = around
            else:
                inner.replace(around)
            around.set("this", inner)
    return copied
