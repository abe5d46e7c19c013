"""Take off the nodes what later passes do not read: every copy of a node copies its notes too."""

from __future__ import annotations

from typing import TypeVar

from sqlglot import exp

from feature_specs.compile.order_totally import ASOF_RIGHT

_Tree = TypeVar("_Tree", bound=exp.Expr)


def strip_places(tree: _Tree) -> _Tree:
    """Forget where nodes stand in the author's text, once nothing can be refused any more."""
    for node in tree.walk():
        if node._meta is not None and ASOF_RIGHT not in node._meta:
            node._meta = None
    return tree


def strip_types(tree: _Tree, *, names_only: bool = False) -> _Tree:
    """Forget types: of names and literals, which nobody asks, or of all nodes."""
    for node in tree.walk():
        if not names_only or isinstance(node, (exp.Identifier, exp.Literal)):
            node._type = None
    return tree
