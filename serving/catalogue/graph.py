"""A small graph from sources to readers, laid out in layers for an SVG that is made on the server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: Sizes in the SVG's own units, which are CSS pixels.
WIDTH, GAP, HEIGHT, ROOM, EDGE = 178, 40, 40, 12, 14
_MOST = 12
_LETTERS = 21


@dataclass(frozen=True)
class Node:
    """Something in the graph.

    Attributes:
        key: tells it from others.
        kind: ``source``, ``column``, ``view``, ``feature``, ``service`` or ``consumer``.
        note: a second line below its name.
        path: of its page; empty where it has none. fragment: the place there.
        faint: it decides which rows count, rather than what a value is made of.
        here: whether the page is of it.
    """

    key: str
    name: str
    kind: str
    note: str = ""
    path: str = ""
    here: bool = False
    fragment: str = ""
    faint: bool = False

    @property
    def short(self) -> str:
        """The name, cut in its middle where the box is too narrow."""
        if len(self.name) <= _LETTERS:
            return self.name
        return f"{self.name[: _LETTERS - 9]}\N{HORIZONTAL ELLIPSIS}{self.name[-8:]}"


@dataclass(frozen=True)
class Box:
    """A node in its place; x and y are of its upper left corner."""

    node: Node
    x: float
    y: float
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Graph:
    """A graph ready to be drawn.

    Attributes:
        curves: SVG paths of the edges, and whether each is faint.
        hidden: how many nodes did not fit.
    """

    boxes: tuple[Box, ...]
    curves: tuple[tuple[str, bool], ...]
    width: int
    height: int
    hidden: int = 0
    headings: tuple[tuple[float, str], ...] = field(default=())


def lay_out(
    layers: Iterable[tuple[str, Sequence[Node]]], edges: Iterable[tuple[str, str]]
) -> Graph:
    """Place layers of nodes side by side, each in the middle of the height, and draw the edges.

    Args:
        layers: heading and nodes, from left to right; empty ones are left out.
        edges: of keys, from left to right; those of nodes that are not shown are left out.
    """
    shown = [(title, nodes[:_MOST], max(0, len(nodes) - _MOST)) for title, nodes in layers if nodes]
    top = 30
    tallest = max((len(nodes) for _, nodes, _ in shown), default=0)
    room = tallest * (HEIGHT + ROOM) - ROOM
    boxes: dict[str, Box] = {}
    headings = []
    for column, (title, nodes, more) in enumerate(shown):
        x = column * (WIDTH + GAP) + 1
        headings.append((float(x), f"{title} ({more} more below)" if more else title))
        used = len(nodes) * (HEIGHT + ROOM) - ROOM
        for row, node in enumerate(nodes):
            y = top + (room - used) / 2 + row * (HEIGHT + ROOM)
            boxes.setdefault(node.key, Box(node, x, y))
    curves = [
        (_curve(boxes[left], boxes[right]), boxes[left].node.faint)
        for left, right in dict.fromkeys(edges)
        if left in boxes and right in boxes
    ]
    return Graph(
        tuple(boxes.values()),
        tuple(curves),
        max(1, len(shown)) * (WIDTH + GAP) - GAP + 2,
        top + room + EDGE,
        sum(more for _, _, more in shown),
        tuple(headings),
    )


def _curve(left: Box, right: Box) -> str:
    start, end = left.x + left.width, right.x
    bend = (end - start) / 2
    return (
        f"M{start:g} {left.middle:g} C{start + bend:g} {left.middle:g} "
        f"{end - bend:g} {right.middle:g} {end:g} {right.middle:g}"
    )
