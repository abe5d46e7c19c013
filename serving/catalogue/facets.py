"""Facets: how many of the features found have each entity, owner, group, tag, type, source and state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from serving.catalogue.directory import Item

#: What is chosen: facet to the values of which a feature must have one.
Chosen = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Facet:
    """One kind of choice, and what there is to choose from.

    Attributes:
        values: value and number of features, the most first; those chosen are always among them.
    """

    name: str
    label: str
    values: tuple[tuple[str, int], ...]


#: Name, label and values of each facet but the state, which a catalog does not know.
FACETS: tuple[tuple[str, str, Callable[[Item], Sequence[str]]], ...] = (
    ("entity", "Entity", lambda item: (item.entity,)),
    ("tag", "Tag", lambda item: item.tags),
    ("source", "Source", lambda item: item.leaves),
    ("owner", "Owner", lambda item: (item.view.owner,) if item.view.owner else ()),
    ("group", "Group", lambda item: (item.access.group,) if item.access.group else ()),
    ("type", "Type", lambda item: (item.feature.type,)),
)
STATUS = "status"
NAMES = (STATUS, *(name for name, _, _ in FACETS))


class Facets:
    """The values of every facet of features, numbered in the order given."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._views = [item.view.name for item in items]
        self._values = {name: [values(item) for item in items] for name, _, values in FACETS}

    def chosen(
        self, numbers: Iterable[int], chosen: Chosen, status: Mapping[str, str]
    ) -> list[int]:
        """Those of the numbers that have what is chosen, in their order.

        Args:
            status: of each view by name; empty where none is known.
        """
        kept = list(numbers)
        for name, wanted in chosen.items():
            kept = self._with(kept, name, frozenset(wanted), status)
        return kept

    def count(
        self, found: Sequence[int], chosen: Chosen, status: Mapping[str, str], most: int = 12
    ) -> list[Facet]:
        """Each facet with its counts, what is chosen of the others taken into account.

        Args:
            found: what a query finds, whatever is chosen.
            most: values of a facet, besides those that are chosen.
        """
        all_chosen = self.chosen(found, chosen, status)
        made = []
        labels = [(STATUS, "Freshness")] if status else []
        for name, label in [*labels, *((name, label) for name, label, _ in FACETS)]:
            others = {n: v for n, v in chosen.items() if n != name}
            of = self.chosen(found, others, status) if name in chosen else all_chosen
            counts = self._counts(of, name, status)
            values = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
            shown = {value for value, _ in values}
            values += [(v, counts.get(v, 0)) for v in chosen.get(name, ()) if v not in shown]
            if values:
                made.append(Facet(name, label, tuple(values)))
        return made

    def _counts(self, numbers: Sequence[int], name: str, status: Mapping[str, str]) -> Counter[str]:
        if name == STATUS:
            views = Counter(self._views[n] for n in numbers)
            counts: Counter[str] = Counter()
            for view, count in views.items():
                counts[status.get(view, "unsynced")] += count
            return counts
        values = self._values[name]
        return Counter(value for n in numbers for value in values[n])

    def _with(
        self, numbers: list[int], name: str, wanted: frozenset[str], status: Mapping[str, str]
    ) -> list[int]:
        if name == STATUS:
            views = self._views
            return [n for n in numbers if status.get(views[n], "unsynced") in wanted]
        values = self._values[name]
        return [n for n in numbers if not wanted.isdisjoint(values[n])]
