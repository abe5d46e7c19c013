"""What the proof knows of a relation's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["free", "held", "settled"]

#: A spine whose instant is the same for a whole query: a parameter, or the outer query's row.
CUT = "*"


class UnboundError(Exception):
    """A leaf's rows reach values without a bound in time; the message names the leaf and place."""


@dataclass
class Relation:
    """What is known of a relation's rows.

    Attributes:
        carriers: columns not before any leaf row in the row became visible.
        spine: of a settled relation the spine it belongs to; of a free one with ``fb_row`` and
            ``fb_t`` its own identity.
        anchored: rows with ``fb_row`` stand at that spine row's instant on the carriers' axis.
        in_step: columns in whose order the rows start.
        marker: of a free relation, where its place on an axis and its spine row stand.
        sorted_by: the columns of the ORDER BY that its rows follow.
    """

    columns: tuple[str, ...] = ()
    status: Status = "free"
    carriers: frozenset[str] = frozenset()
    spine: str | None = None
    anchored: str | None = None
    in_step: frozenset[str] = frozenset()
    marker: tuple[int, int, str | None] | None = None
    sorted_by: tuple[str, ...] = ()


def combined(left: Relation, right: Relation) -> Relation:
    places = {c: i for i, c in enumerate(left.columns)}
    status = worst(left.status, right.status)
    carriers = left.carriers if left.status == "held" else frozenset(left.columns)
    if right.status == "held":
        theirs = {right.columns.index(c) for c in right.carriers}
        carriers = frozenset(c for c in carriers if places.get(c) in theirs)
    anchors = {anchor(left, left.columns, carriers), anchor(right, left.columns, carriers)}
    anchors -= {""}
    anchored = anchors.pop() if len(anchors) == 1 else None
    kept = carriers if status == "held" else frozenset()
    if status == "held" and not kept:
        raise UnboundError("a union mixes rows with and without an instant")
    spine = left.spine if left.spine == right.spine else None
    return Relation(left.columns, status, kept, spine, anchored)


def anchor(side: Relation, names: tuple[str, ...], carriers: frozenset[str]) -> str | None:
    """The spine whose rows a side of a union puts on the axis; "" where it has rows of leaves only."""
    if side.status == "held":
        return side.anchored or ""
    if side.marker is not None:
        place, mark, spine = side.marker
        return spine if names[place] in carriers and names[mark] == "fb_mark" else None
    if {"fb_t", "fb_row"} <= set(side.columns):
        axis = names[side.columns.index("fb_t")]
        row = names[side.columns.index("fb_row")]
        return side.spine if axis in carriers and row == "fb_row" else None
    return None


def worst(left: Status, right: Status) -> Status:
    order: tuple[Status, ...] = ("free", "settled", "held")
    return max(left, right, key=order.index)
