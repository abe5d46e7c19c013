"""The graph that a receiver makes of events: jobs and datasets, one node for all names of a dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

Name = tuple[str, str]


class Graph:
    """Edges from a dataset to the jobs that read it, and from a job to what it writes.

    A dataset's symlinks are names of it too, as in Marquez.
    """

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self._same: dict[Name, Name] = {}
        self._edges: dict[object, set[object]] = defaultdict(set)
        listed = list(events)
        for event in listed:
            for dataset in (*event.get("inputs", ()), *event.get("outputs", ())):
                self._join(dataset)
        for event in listed:
            job = ("job", event["job"]["namespace"], event["job"]["name"])
            for dataset in event.get("inputs", ()):
                self._edges[self.node(_name(dataset))].add(job)
            for dataset in event.get("outputs", ()):
                self._edges[job].add(self.node(_name(dataset)))

    def node(self, name: Name) -> Name:
        """What stands for all names of a dataset."""
        while name in self._same:
            name = self._same[name]
        return name

    def downstream(self, name: Name) -> set[object]:
        """All that is made of a dataset, at whatever distance."""
        seen: set[object] = set()
        todo: list[object] = [self.node(name)]
        while todo:
            for found in self._edges[todo.pop()] - seen:
                seen.add(found)
                todo.append(found)
        return seen

    def parts(self) -> list[set[object]]:
        """The nodes, by what hangs together in whichever direction."""
        both: dict[object, set[object]] = defaultdict(set)
        for start, ends in list(self._edges.items()):
            for end in ends:
                both[start].add(end)
                both[end].add(start)
        parts: list[set[object]] = []
        left = set(both)
        while left:
            part, todo = set(), [left.pop()]
            while todo:
                node = todo.pop()
                part.add(node)
                todo += both[node] - part
            left -= part
            parts.append(part)
        return parts

    def _join(self, dataset: dict[str, Any]) -> None:
        symlinks = dataset.get("facets", {}).get("symlinks", {}).get("identifiers", ())
        for other in symlinks:
            first, second = self.node(_name(dataset)), self.node(_name(other))
            if first != second:
                self._same[second] = first


def _name(dataset: dict[str, Any]) -> Name:
    return dataset["namespace"], dataset["name"]
