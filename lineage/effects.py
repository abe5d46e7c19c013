"""How a column reaches a feature: OpenLineage's transformations, and how they compose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

#: DIRECT: the value is made of the column's. Each hides the one before it.
DIRECT: Final = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")
#: INDIRECT: the column decides which rows count, or which value is taken.
INDIRECT: Final = ("JOIN", "GROUP_BY", "FILTER", "SORT", "WINDOW", "CONDITIONAL")

Subtype: TypeAlias = Literal[
    "IDENTITY",
    "TRANSFORMATION",
    "AGGREGATION",
    "JOIN",
    "GROUP_BY",
    "FILTER",
    "SORT",
    "WINDOW",
    "CONDITIONAL",
]

#: A leaf's name and one of its columns, as its table spells it.
Column: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Effect:
    """One way in which a column reaches a feature.

    Attributes:
        subtype: OpenLineage's word for it.
        masking: nothing of the value itself can be read from the feature: it was counted or hashed.
        tie: it decides only between rows that tie in the author's own order.
    """

    subtype: Subtype
    masking: bool = False
    tie: bool = False

    @property
    def direct(self) -> bool:
        """OpenLineage's type is DIRECT rather than INDIRECT."""
        return self.subtype in DIRECT

    @property
    def code(self) -> str:
        """The effect as one word, as lineage.json has it.

        >>> Effect("AGGREGATION", masking=True).code
        'AGGREGATION+masking'
        """
        marks = ("masking" if self.masking else "", "tie" if self.tie else "")
        return "+".join([self.subtype, *(m for m in marks if m)])


def is_direct(code: str) -> bool:
    """Whether the effect of a code is DIRECT: `Effect.direct` without reading the rest of it.

    >>> is_direct("AGGREGATION+masking"), is_direct("SORT+tie")
    (True, False)
    """
    return code.partition("+")[0] in DIRECT


#: Columns to their effects on one thing.
Effects: TypeAlias = Mapping[Column, frozenset[Effect]]

NOTHING: Effects = {}


@cache
def read_effect(code: str) -> Effect:
    """The effect of `Effect.code`.

    >>> read_effect("SORT+tie")
    Effect(subtype='SORT', masking=False, tie=True)
    """
    subtype, *marks = code.split("+")
    return Effect(subtype, "masking" in marks, "tie" in marks)  # type: ignore[arg-type]


@cache
def _follow(first: Effect, then: Effect) -> Effect:
    """What two effects come to, one after the other."""
    if not first.direct:
        return Effect(first.subtype, first.masking, first.tie or then.tie)
    masking = first.masking or then.masking
    if not then.direct:
        return Effect(then.subtype, masking, then.tie)
    subtype = max(first.subtype, then.subtype, key=DIRECT.index)
    return Effect(subtype, masking)


def followed_by(effects: Effects, then: Effect) -> Effects:
    """What becomes of effects on a thing that has an effect itself."""
    return {c: frozenset(_follow(e, then) for e in found) for c, found in effects.items()}


def tied(effects: Effects) -> Effects:
    """Effects that come to bear only between rows that tie."""
    return {
        c: frozenset(Effect(e.subtype if not e.direct else "SORT", e.masking, tie=True) for e in f)
        for c, f in effects.items()
    }


def together(parts: Iterable[Effects]) -> dict[Column, frozenset[Effect]]:
    """The effects of all parts. A tie says nothing more where the same effect stands without one."""
    out: dict[Column, frozenset[Effect]] = {}
    for part in parts:
        for column, found in part.items():
            known = out.get(column)
            out[column] = found if known is None else known | found
    return {c: _without_ties(found) for c, found in out.items()}


@cache
def _without_ties(found: frozenset[Effect]) -> frozenset[Effect]:
    plain = {(e.subtype, e.masking) for e in found if not e.tie}
    return frozenset(e for e in found if not e.tie or (e.subtype, e.masking) not in plain)
