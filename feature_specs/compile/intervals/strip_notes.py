"""Drop node metadata that later passes do not read; copies would copy it."""

from __future__ import annotations

from typing import TypeVar

from sqlglot import exp

from feature_specs.compile.normalize.order_totally import ASOF_RIGHT

_UNASKED = (
    exp.DType.BOOLEAN, exp.DType.VARCHAR, exp.DType.TEXT, exp.DType.UNKNOWN, exp.DType.NULL,
    exp.DType.INTERVAL,
)  # fmt: skip

_Tree = TypeVar("_Tree", bound=exp.Expr)


def strip_places(tree: _Tree) -> _Tree:
    """Forget where nodes stand in the author's text, once nothing can be refused any more."""
    for node in tree.walk():
        if node._meta is not None and ASOF_RIGHT not in node._meta:
            node._meta = None
    return tree


def strip_types(tree: _Tree, *, unasked_only: bool = False) -> _Tree:
    """Forget types: of all nodes, or those that no pass asks for, of literals, truths and texts."""
    for node in tree.walk():
        kind = node._type
        if kind is not None and not (unasked_only and _asked(node, kind)):
            node._type = None
    return tree


def _asked(node: exp.Expr, kind: exp.DataType) -> bool:
    return kind.this not in _UNASKED and not isinstance(node, (exp.Identifier, exp.Literal))
