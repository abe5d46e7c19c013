"""Search results as plain data, for GET /v1/features and the first page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from serving.catalogue.directory import Directory, Item
from serving.catalogue.facets import Chosen, Facets
from serving.catalogue.live import Live
from serving.catalogue.search import Index, fold

#: Pages, views, services and the like that a query names, beside features.
_OTHERS = 6
_KINDS = ("view", "service", "entity", "source", "owner", "group", "exposure")


class Finder:
    """Finds features of a directory. The index of words is made by the first query that needs it."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._facets = Facets(directory.features)
        # With no query: by name of the view, features as their author has them.
        self._all = range(len(directory.features))

    @cached_property
    def index(self) -> Index:
        """The words of all features."""
        return Index(self._directory.features)

    @cached_property
    def others(self) -> list[tuple[str, str, str]]:
        """Kind, name and path of every other page, by kind."""
        found: dict[str, list[tuple[str, str, str]]] = {kind: [] for kind in _KINDS}
        for path, kind, _ in self._directory.paths():
            if kind in found:
                found[kind].append((kind, self._directory.name_of(path), path))
        return [other for kind in _KINDS for other in found[kind]]

    def find(
        self, query: str, chosen: Chosen, limit: int, offset: int, live: Live
    ) -> dict[str, Any]:
        """The features that a query finds, some of them in full, and the facets of all of them.

        Args:
            chosen: values of facets by their names.
        """
        words = query.split()
        status = live.status
        found: Sequence[int] = self.index.search(query) if words else self._all
        numbers = self._facets.chosen(found, chosen, status)
        facets = self._facets.count(found, chosen, status)
        items = (self._directory.features[n] for n in numbers[offset : offset + limit])
        return {
            "project": self._directory.project,
            "query": query,
            "total": len(numbers),
            "offset": offset,
            "features": [feature_data(self._directory, item, live) for item in items],
            "facets": [
                {
                    "name": facet.name,
                    "label": facet.label,
                    "values": [
                        {"value": v, "count": n, "chosen": v in chosen.get(facet.name, ())}
                        for v, n in facet.values
                    ],
                }
                for facet in facets
            ],
            "others": [
                {"kind": kind, "name": name, "page": path}
                for kind, name, path in self._others(words)
            ],
        }

    def _others(self, words: Sequence[str]) -> list[tuple[str, str, str]]:
        folded = [fold(word) for word in words]
        if not folded:
            return []
        named = (o for o in self.others if all(word in fold(o[1]) for word in folded))
        return [other for other, _ in zip(named, range(_OTHERS), strict=False)]


def feature_data(directory: Directory, item: Item, live: Live) -> dict[str, Any]:
    """One feature, as labels that a machine reads. Durations are in microseconds."""
    view, feature = item.view, item.feature
    online = live.online.get(view.name)
    return {
        "reference": item.reference,
        "name": feature.name,
        "view": view.name,
        "entities": [{"name": c.name, "type": c.type} for c in view.entities],
        "type": feature.type,
        "description": feature.description,
        "owner": view.owner,
        "access": item.access.access,
        "group": item.access.group,
        "tags": list(item.tags),
        "sources": list(item.sources or item.leaves),
        "services": directory.services_of.get((view.name, feature.name), []),
        "computed_at_reading": feature.expression is not None,
        "deprecated": view.deprecated,
        "freshness_us": view.freshness_us,
        "status": None if online is None else online.status,
        "age_us": None if online is None else online.age_us,
        "readable": live.may_read(view.name),
        "page": item.path,
    }
