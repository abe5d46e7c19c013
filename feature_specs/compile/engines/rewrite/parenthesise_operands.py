"""Write parentheses wherever another engine's grammar might group operators otherwise.

The tree says what belongs together; SQLGlot writes it without a look at precedence. Of what Trino,
Spark and the standard agree on, nothing is put in parentheses.
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement

_PREDICATES = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is, exp.In, exp.Between, exp.Like,
    exp.ILike, exp.NullSafeEQ, exp.NullSafeNEQ,
)  # fmt: skip
_SUMS = (exp.Add, exp.Sub)
_PRODUCTS = (exp.Mul, exp.Div, exp.IntDiv, exp.Mod)

#: How tightly each binds: the greater, the tighter.
_LEVELS: dict[type[exp.Expr], int] = {
    exp.Or: 1, exp.And: 2, exp.Not: 3, **dict.fromkeys(_PREDICATES, 4), exp.DPipe: 5,
    **dict.fromkeys(_SUMS, 6), **dict.fromkeys(_PRODUCTS, 7), exp.Neg: 8, exp.AtTimeZone: 9,
}  # fmt: skip
#: Of these the left operand may be one of their own level.
_CHAINED = (exp.Or, exp.And, exp.DPipe, *_SUMS, *_PRODUCTS)
_OPERANDS = ("this", "expression", "low", "high", "zone")


def parenthesise_operands(statement: EngineStatement) -> None:
    """Put parentheses around ambiguous operands, in place.

    >>> show(parenthesise_operands, "select k, x = 1 is null as y from events", "spark")
    SELECT k, (x = 1) IS NULL AS y FROM events
    """
    tree = statement.tree
    for node in list(tree.walk()):
        parent = node.parent
        if parent is not None and node.arg_key in _OPERANDS and _is_unclear(node, parent):
            around = exp.Paren()
            around.type = node.type
            node.replace(around)
            around.set("this", node)


def _is_unclear(node: exp.Expr, parent: exp.Expr) -> bool:
    inner, outer = _LEVELS.get(type(node)), _LEVELS.get(type(parent))
    if inner is None or outer is None:
        return False
    if {inner, outer} == {_LEVELS[exp.DPipe], _LEVELS[exp.Add]}:
        return True  # of one level in Spark, of two in Trino
    if inner != outer:
        return inner < outer
    return not (
        isinstance(parent, exp.Not) or (isinstance(parent, _CHAINED) and node.arg_key == "this")
    )
