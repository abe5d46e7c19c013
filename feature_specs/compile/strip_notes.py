"""Take off the nodes what later passes do not read: every copy of a node copies its notes too."""

from __future__ import annotations

from typing import TypeVar

from sqlglot import exp

from feature_specs.compile.order_totally import ASOF_RIGHT

_ASKED = (exp.Column, exp.AggFunc, exp.Filter, exp.Window, exp.Alias, exp.Query)
_ASKED_BELOW = (exp.AggFunc, exp.Alias, exp.Select, exp.Group, exp.Query)

_Tree = TypeVar("_Tree", bound=exp.Expr)


def strip_places(tree: _Tree) -> _Tree:
    """Forget where nodes stand in the author's text, once nothing can be refused any more."""
    for node in tree.walk():
        if node._meta is not None and ASOF_RIGHT not in node._meta:
            node._meta = None
    return tree


def strip_types(tree: _Tree, *, unasked: bool = False) -> _Tree:
    """Forget types: of all nodes, or of those that nobody asks.

    What is asked for are the types of columns, of what an aggregate takes, and of what a SELECT
    or a grouping hands on under a name.
    """
    for node in tree.walk():
        if not (unasked and node._type is not None and _is_asked(node)):
            node._type = None
    return tree


def _is_asked(node: exp.Expr) -> bool:
    return isinstance(node, _ASKED) or isinstance(node.parent, _ASKED_BELOW)
