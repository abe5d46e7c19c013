"""Walk the project's lineage upstream and downstream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias

from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.names import fold_name
from lineage.project_lineage import Exposure, ProjectLineage
from lineage.view_lines import views_naming

Kind: TypeAlias = Literal[
    "column", "table", "model", "feature", "view", "service", "training set", "exposure"
]
Direction: TypeAlias = Literal["upstream", "downstream"]
_Listed: TypeAlias = Iterable[Sequence[str]]


class Node(NamedTuple):
    """A thing in the graph; a column, a model's column and a feature are named with a dot."""

    kind: Kind
    name: str


@dataclass(frozen=True)
class Edge:
    """One thing reaches another.

    Attributes:
        effects: how, as `Effect.code` says it; empty where all of it is taken.
    """

    source: Node
    target: Node
    effects: tuple[str, ...] = ()

    @property
    def only_tie(self) -> bool:
        """It only decides between rows that tie."""
        return bool(self.effects) and not self.without_ties.effects

    @property
    def without_ties(self) -> Edge:
        """The edge with its other effects."""
        return replace(self, effects=tuple(c for c in self.effects if not c.endswith("+tie")))


class Graph:
    """The edges of a project, each found when it is asked for."""

    def __init__(self, lineage: ProjectLineage) -> None:
        self.lineage = lineage
        self._views = lineage.views
        self._services: dict[str, list[str]] = {}
        for service, features in lineage.services.items():
            read = [*(f"{view}.{feature}" for view, feature in features), *(v for v, _ in features)]
            for name in dict.fromkeys(read):
                self._services.setdefault(name, []).append(service)
        self._readers: dict[str, list[str]] = {}
        for consumer in lineage.consumers.values():
            if consumer.name not in lineage.services:
                for name in consumer.reads:
                    self._readers.setdefault(name, []).append(consumer.name)

    def find(self, name: str, where: str = "NAME") -> Node:
        """The thing of that name: a service, training set, exposure, view or table, or a column,
        feature or model's column, in whichever case.

        Raises:
            UnknownNameError: there is none; names the closest.
        """
        folded = fold_name(name)
        for node in self._whole_nodes():
            if fold_name(node.name) == folded:
                return node
        known: list[str] = []
        for kind, owner in self._owners():
            if folded.startswith(f"{fold_name(owner)}."):
                columns = self._columns(kind, owner)
                for column in columns:
                    if fold_name(f"{owner}.{column}") == folded:
                        return Node(kind, f"{owner}.{column}")
                known += (f"{owner}.{column}" for column in columns)
        known = known or [node.name for node in self._whole_nodes()]
        raise UnknownNameError(
            f"nothing in the lineage is named {name!r}", where=where, hint=did_you_mean(name, known)
        )

    def _whole_nodes(self) -> Iterator[Node]:
        found = self.lineage
        yield from (Node("service", n) for n in found.services)
        yield from (Node("view", n) for n in self._views)
        yield from (Node("training set", n) for n in found.training_sets)
        yield from (Node("exposure", c.name) for c in found.consumers.values())
        yield from (Node("table", n) for n in found.tables)

    def _owners(self) -> Iterator[tuple[Kind, str]]:
        """What has columns; models last, since finding them decodes every view."""
        yield from (("feature", view) for view in self._views)
        yield from (("column", table) for table in self.lineage.tables)
        models = (model for view in self._views.values() for model in view.raw["models"])
        yield from (("model", model) for model in dict.fromkeys(models))

    def _columns(self, kind: Kind, owner: str) -> Iterable[str]:
        """The columns of a view, table or model; empty where there is none of that name."""
        if kind == "feature":
            return self._views[owner].raw["features"] if owner in self._views else ()
        if kind == "column":
            return self.lineage.tables.get(owner, ())
        found = (view.raw["models"].get(owner, ()) for _, view in views_naming(self._views, owner))
        return dict.fromkeys(chain.from_iterable(found))

    def _split(self, node: Node) -> tuple[str, str]:
        """What a column belongs to, and its own name, which may hold a dot as a table's may."""
        words = node.name.split(".")
        for i in range(len(words) - 1, 0, -1):
            owner, last = ".".join(words[:i]), ".".join(words[i:])
            if last in self._columns(node.kind, owner):
                return owner, last
        return "", node.name

    def edges(self, node: Node, direction: Direction) -> list[Edge]:
        """The edges into or out of a node, sorted by the node at the other end."""
        found = self._into(node) if direction == "upstream" else self._out_of(node)
        merged: dict[tuple[Node, Node], set[str]] = {}
        for edge in found:
            merged.setdefault((edge.source, edge.target), set()).update(edge.effects)
        return [Edge(s, t, tuple(sorted(codes))) for (s, t), codes in sorted(merged.items())]

    def _into(self, node: Node) -> Iterator[Edge]:
        owner, last = self._split(node)
        found = self.lineage
        if node.kind == "feature":
            yield from self._into_feature(node, self._views[owner].raw, last)
        elif node.kind == "model":
            named = views_naming(self._views, owner)
            models = (view.raw["models"].get(owner, {}) for _, view in named)
            yield from _columns_into(node, next(m[last] for m in models if last in m))
        elif node.kind == "view":
            raw = self._views[node.name].raw
            lists = chain(raw["features"].values(), raw["keys"].values(), [raw["rows"]])
            yield from _columns_into(node, chain.from_iterable(lists))
        elif node.kind == "service":
            for view, feature in found.services[node.name]:
                yield Edge(Node("feature", f"{view}.{feature}"), node)
        elif node.kind == "training set":
            yield Edge(Node("service", found.training_sets[node.name]), node)
        elif node.kind == "exposure":
            for consumer in found.consumers.values():
                if consumer.name == node.name:
                    yield from self._read_by(consumer, node)

    def _read_by(self, consumer: Exposure, node: Node) -> Iterator[Edge]:
        for name in consumer.reads:
            if name not in self._views:
                yield Edge(Node("training set", name), node)
            elif consumer.name not in self.lineage.services:
                for feature in self._views[name].raw["features"]:
                    yield Edge(Node("feature", f"{name}.{feature}"), node)

    def _into_feature(self, node: Node, raw: Mapping[str, Any], feature: str) -> Iterator[Edge]:
        through = [*raw["through"].get(feature, ()), *raw["rows_through"]]
        for model, column, *codes in through:
            yield Edge(Node("model", f"{model}.{column}"), node, tuple(codes))
        behind = _behind(raw, through)
        listed = [*raw["features"][feature], *raw["rows"]]
        yield from _columns_into(node, (e for e in listed if (e[0], e[1]) not in behind))

    def _out_of(self, node: Node) -> Iterator[Edge]:
        owner, last = self._split(node)
        found = self.lineage
        if node.kind in ("column", "model"):
            for name, view in views_naming(self._views, owner):
                yield from _out_of_column(node, owner, last, name, view.raw)
        elif node.kind == "table":
            for name, view in views_naming(self._views, node.name):
                raw = view.raw
                lists = chain(raw["features"].values(), raw["keys"].values(), [raw["rows"]])
                if any(table == node.name for table, *_ in chain.from_iterable(lists)):
                    yield Edge(node, Node("view", name))
        elif node.kind in ("feature", "view"):
            read = owner if node.kind == "feature" else node.name
            for service in self._services.get(node.name, ()):
                yield Edge(node, Node("service", service))
            yield from self._consumers(node, read)
        elif node.kind == "service":
            for name, service in found.training_sets.items():
                if service == node.name:
                    yield Edge(node, Node("training set", name))
        elif node.kind == "training set":
            yield from self._consumers(node, node.name)

    def _consumers(self, node: Node, read: str) -> Iterator[Edge]:
        """The exposures that read a view or a training set and are not feature services."""
        for name in self._readers.get(read, ()):
            yield Edge(node, Node("exposure", name))

    def walk(
        self, start: Node, direction: Direction, depth: int | None = None, *, ties: bool = False
    ) -> list[Edge]:
        """All edges up- or downstream of a node, nearest first, each once.

        Args:
            depth: how many edges a way may have; all by default.
            ties: keep edges that only decide between rows that tie.
        """
        out: list[Edge] = []
        seen, front = {start}, [start]
        while front and (depth is None or depth > 0):
            depth = None if depth is None else depth - 1
            found = [e for n in front for e in self.edges(n, direction)]
            if not ties:
                found = [e.without_ties for e in found if not e.only_tie]
            out += found
            ends = dict.fromkeys(_end(e, direction) for e in found)
            front = [n for n in ends if n not in seen]
            seen.update(front)
        return out


def _end(edge: Edge, direction: Direction) -> Node:
    return edge.source if direction == "upstream" else edge.target


def _columns_into(node: Node, listed: _Listed) -> Iterator[Edge]:
    for table, column, *codes in listed:
        yield Edge(Node("column", f"{table}.{column}"), node, tuple(codes))


def _behind(raw: Mapping[str, Any], through: _Listed) -> set[tuple[str, str]]:
    """The raw columns that some columns of models are made of."""
    return {
        (table, name)
        for model, column, *_ in through
        for table, name, *_ in raw["models"].get(model, {}).get(column, ())
    }


def _out_of_column(
    node: Node, owner: str, column: str, view: str, raw: Mapping[str, Any]
) -> Iterator[Edge]:
    """A raw column reaches models' columns, and the features that it reaches past all of these."""

    def codes_in(listed: _Listed) -> list[str]:
        return [c for o, name, *codes in listed if o == owner and name == column for c in codes]

    def to_features(columns: Mapping[str, _Listed], rows: _Listed) -> Iterator[Edge]:
        in_rows = codes_in(rows)
        for feature in raw["features"]:
            codes = [*codes_in(columns.get(feature, ())), *in_rows]
            if codes:
                yield Edge(node, Node("feature", f"{view}.{feature}"), tuple(codes))

    if node.kind == "model":
        yield from to_features(raw["through"], raw["rows_through"])
        return
    for model, columns in raw["models"].items():
        for name, listed in columns.items():
            codes = codes_in(listed)
            if codes:
                yield Edge(node, Node("model", f"{model}.{name}"), tuple(codes))
    for edge in to_features(raw["features"], raw["rows"]):
        feature = edge.target.name.removeprefix(f"{view}.")
        through = [*raw["through"].get(feature, ()), *raw["rows_through"]]
        if not through or (owner, column) not in _behind(raw, through):
            yield edge
