"""Similar features: computed from the same columns, with the same shape."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from feature_specs.catalogue_facts import FeatureFacts
from lineage.effects import is_direct
from serving.catalogue.directory import Item

_COLUMN = re.compile(r'(?:"(?:[^"]|"")+"\.)*"(?:[^"]|"")+"')
_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
_WORD = re.compile(r"[A-Za-z_]+|[^\sA-Za-z_]")
_LEAST, _MOST = 50, 6


@dataclass(frozen=True)
class Similar:
    """A feature like another.

    Attributes:
        why: in words.
        score: of 100.
    """

    item: Item
    why: str
    score: int


class Similarity:
    """Finds features like one of them."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._near: dict[str, list[int]] = defaultdict(list)
        self._items = items
        for number, item in enumerate(items):
            for column in columns_of(item):
                self._near[column].append(number)

    def like(self, item: Item) -> list[Similar]:
        """The features most like one, the most alike first; those of its own view come last."""
        columns = columns_of(item)
        near = {n for column in columns for n in self._near[column]}
        found = []
        for number in near:
            other = self._items[number]
            if other.reference != item.reference:
                similar = _compare(item, columns, other)
                if similar.score >= _LEAST:
                    found.append(similar)
        found.sort(key=lambda s: (s.item.view.name == item.view.name, -s.score, s.item.reference))
        return found[:_MOST]


def columns_of(item: Item) -> frozenset[str]:
    """The source columns that a feature is made of, or else that decide it.

    Where they are not traced, those that its expression names.
    """
    return _columns(item.facts, item.leaves)


@lru_cache(maxsize=50_000)
def _columns(facts: FeatureFacts, leaves: tuple[str, ...]) -> frozenset[str]:
    reaches = facts.sources
    made_of = [r for r in reaches if is_direct(r.effects[0])] or reaches
    if made_of:
        return frozenset(f"{r.leaf}.{r.column}" for r in made_of)
    named = (m[0].replace('"', "").rpartition(".")[2] for m in _COLUMN.finditer(facts.sql))
    return frozenset(f"{leaf}.{name}" for name in named for leaf in leaves)


@lru_cache(maxsize=50_000)
def shape_of(sql: str) -> str:
    """An expression without its columns and constants.

    >>> shape_of('AVG("a"."x") FILTER(WHERE "a"."t" > NOW() - INTERVAL \\'7\\' DAY)')
    'AVG ( c ) FILTER ( WHERE c > NOW ( ) - INTERVAL v DAY )'
    """
    plain = _LITERAL.sub(" v ", _COLUMN.sub(" c ", sql))
    return " ".join(_WORD.findall(plain))


def _compare(item: Item, columns: frozenset[str], other: Item) -> Similar:
    theirs = columns_of(other)
    shared = len(columns & theirs) / len(columns | theirs)
    mine, its = shape_of(item.facts.sql), shape_of(other.facts.sql)
    alike = _alike(mine, its) if mine and its else 0.0
    same_entity = item.entity == other.entity
    score = round(50 * shared + 35 * alike + (15 if same_entity else 0))
    why = ["the same source columns" if shared == 1 else "some of the same source columns"]
    if mine and mine == its:
        same = item.facts.sql == other.facts.sql
        why.append("the same expression" if same else "an expression of the same shape")
    why.append("of the same entity" if same_entity else f"of {other.entity}")
    return Similar(other, ", ".join(why), score)


def _alike(mine: str, its: str) -> float:
    left, right = set(mine.split()), set(its.split())
    return 1.0 if mine == its else 0.8 * len(left & right) / len(left | right)
