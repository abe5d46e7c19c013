"""Reading dbt's manifest: leaves with their time roles, feature views, services, training sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError, SpecError
from feature_specs.feature_store_meta import declared_options
from feature_specs.leaf import Leaf, read_changelog
from feature_specs.leaf_nodes import (
    check_role,
    has_role,
    leaf_relation,
    meta_of,
    query_of,
    snapshot_columns,
    stands_as_leaf,
)
from feature_specs.leaf_options import LEAF_OPTIONS, check_leaf_options
from feature_specs.service_features import ServiceItem, list_features, read_item
from feature_specs.view import FeatureView
from feature_specs.view_entry import Role
from feature_specs.view_options import ViewOptions, read_options, refuse_misspelt
from feature_specs.yaml_places import place_of

_BUILT = ("model", "seed", "snapshot")


@dataclass(frozen=True)
class DeclaredView:
    """A feature view as the project declares it.

    Attributes:
        sources: unique ids of the leaves that it reads, directly or through models.
    """

    unique_id: str
    node: Mapping[str, Any]
    view: FeatureView
    options: ViewOptions
    sources: tuple[str, ...]


@dataclass(frozen=True)
class DeclaredService:
    """A feature service: an exposure of type ml."""

    name: str
    features: tuple[tuple[str, str], ...]
    owner: str
    description: str
    file: str
    roles: Mapping[str, Role] = field(default_factory=dict)


class Manifest:
    """A parsed manifest.json; ``compiled_code`` must be there for the models that views read.

    Args:
        boundary: the project's own default.
        failed: ids of the models that have no compiled code, and why.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        root: Path,
        boundary: str | None = None,
        failed: Mapping[str, ForebayError] | None = None,
    ) -> None:
        self.root, self.boundary = root, boundary
        self.failed = failed or {}
        self.nodes: Mapping[str, Any] = raw["nodes"]
        self.sources: Mapping[str, Any] = raw["sources"]
        self.exposures: Mapping[str, Any] = raw["exposures"]
        self.groups: Mapping[str, Any] = raw.get("groups", {})
        self.project: str = raw["metadata"]["project_name"]
        self.definitions: Mapping[str, Mapping[str, str]] = raw.get("definitions", {})

    def view_ids(self) -> dict[str, str]:
        """Unique id of every feature view to its name, sorted."""
        return {i: view_name(n) for i, n in sorted(self.nodes.items()) if is_feature_view(n)}

    def leaf_nodes(self) -> list[str]:
        """Unique ids of the seeds, snapshots and models that stand as leaves under feature views."""
        read = (self._upstream(i) for i, node in self.nodes.items() if is_feature_view(node))
        return sorted({i for found in read for i in found if self._is_leaf_node(i)})

    def _is_leaf_node(self, unique_id: str) -> bool:
        return unique_id in self.nodes and stands_as_leaf(self.nodes[unique_id])

    def view(self, unique_id: str) -> DeclaredView:
        """One feature view.

        Raises:
            ForebayError: its options are wrong, or it reads what cannot be read.
        """
        node = self.nodes[unique_id]
        where = place_of(self.root, dict(node), "feature_view")
        meta = meta_of(node)
        refuse_misspelt(meta, ("feature_view",), "config.meta", where)
        said, event_time = declared_options(meta, node["config"].get("event_time"), where)
        options = read_options(said, where, boundary=self.boundary)
        upstream = self._upstream(unique_id)
        for broken in (unique_id, *upstream):
            if broken in self.failed:
                raise self.failed[broken]
        reads = (self.nodes[i] for i in upstream if i in self.nodes)
        models = {read["relation_name"]: query_of(read) for read in reads}
        leaves = tuple(i for i in upstream if i in self.sources or self._is_leaf_node(i))
        return DeclaredView(
            unique_id,
            node,
            FeatureView(
                view_name(node),
                node["compiled_code"],
                options.entities,
                event_time=event_time,
                ttl=options.ttl,
                boundary=options.boundary,
                tie_break=options.tie_break,
                file=node["original_file_path"],
                models=models,
            ),
            options,
            leaves,
        )

    def _upstream(self, unique_id: str) -> list[str]:
        """Ids of every node that a view reads, down to its leaves; refuses other kinds of nodes."""
        seen: dict[str, None] = {}
        todo = list(self.nodes[unique_id]["depends_on"]["nodes"])
        while todo:
            current = todo.pop()
            if current in seen:
                continue
            seen[current] = None
            if current in self.sources:
                self._refuse_made_by_a_node(current)
                continue
            node = self.nodes[current]
            where = place_of(self.root, dict(node))
            if stands_as_leaf(node):
                check_role(node, where)
                self._refuse_features_under(current, where)
            elif node["resource_type"] == "model":
                todo += node["depends_on"]["nodes"]
            else:
                raise SpecError(
                    f"{node['resource_type']} {node['name']!r} stands under a feature view",
                    where=where,
                    hint="read a source, seed, snapshot or model instead",
                )
        return list(seen)

    def _refuse_made_by_a_node(self, unique_id: str) -> None:
        """A source that is a dbt node's own table: its rows come into Iceberg by the node alone."""
        relation = self.sources[unique_id]["relation_name"]
        for node in self.nodes.values():
            if node.get("relation_name") == relation and node["resource_type"] in _BUILT:
                source = self.sources[unique_id]
                raise SpecError(
                    f"source {source['source_name']}.{source['name']} is the table that "
                    f"{node['resource_type']} {node['name']!r} makes",
                    where=place_of(self.root, dict(source)),
                    hint=f"read it by ref('{node['name']}')",
                )

    def _refuse_features_under(self, unique_id: str, where: object) -> None:
        todo, seen = [unique_id], {unique_id}
        while todo:
            node = self.nodes.get(todo.pop())
            if node is None:
                continue
            if is_feature_view(node):
                raise SpecError(
                    f"{self.nodes[unique_id]['name']!r} stands as a leaf under a feature view, but "
                    f"reads feature view {node['name']!r}",
                    where=str(where),
                    hint="let the one feature view read the other by ref(), or make it a view",
                )
            fresh = [i for i in node["depends_on"].get("nodes", ()) if i not in seen]
            seen.update(fresh)
            todo += fresh

    def leaf(
        self, unique_id: str, columns: Mapping[str, str], *, valid_to_open: str | None = None
    ) -> Leaf:
        """The leaf of a source, or of a seed, snapshot or model that stands as one.

        Args:
            columns: its columns and DuckDB types, as its Iceberg table has them.
            valid_to_open: what a snapshot's ``dbt_valid_to_current`` comes to.

        Raises:
            SpecError: a role names a column that is not there, or a field is unknown.
        """
        node = self._node(unique_id)
        config = node["config"]
        meta = {**(node.get("source_meta") or {}), **meta_of(node)}
        where = str(place_of(self.root, dict(node)))
        options = {k: v for k, v in meta.items() if k in LEAF_OPTIONS}
        time = options.pop("time", None)
        if time not in (None, "static"):
            raise SpecError(
                f"meta.time is {time!r}", where=where, hint="write `time: static`, or a time role"
            )
        for name in ("iceberg_table", "retention"):  # of the table, whoever reads it
            options.pop(name, None)
        log = options.pop("changelog", None)
        if log is not None:
            options["changelog"] = read_changelog(log, where)
        check_leaf_options(options, where, snapshot=node["resource_type"] == "snapshot")
        if time is None and "written" not in options:
            refuse_misspelt({**config, **meta}, ("event_time", "valid_from"), "its config", where)
        if node["resource_type"] == "snapshot":
            own = snapshot_columns(node)
            defaults = {
                "valid_from": own["dbt_valid_from"],
                "valid_to": own["dbt_valid_to"],
                "valid_to_open": valid_to_open,
                "timezone": "UTC",
            }
            # A snapshot counts by its versions; an event_time is there for dbt's own sampling.
            return Leaf(
                leaf_relation(node),
                columns,
                static=time == "static",
                where=where,
                **{**defaults, **options},
            )
        return Leaf(
            node["relation_name"] if unique_id in self.sources else leaf_relation(node),
            columns,
            event_time=config.get("event_time"),
            loaded_at=_first(
                config.get("loaded_at_field"),
                node.get("loaded_at_field"),
                meta.get("loaded_at_field"),
            ),
            static=time == "static" or _never_declared(node),
            where=where,
            **options,
        )

    def _node(self, unique_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.sources.get(unique_id) or self.nodes[unique_id]
        return found

    def iceberg_table(self, unique_id: str) -> str:
        """The Iceberg identifier behind a leaf: ``meta.iceberg_table``, else its schema and name."""
        node = self._node(unique_id)
        name = node["identifier"] if unique_id in self.sources else node["alias"]
        return str(meta_of(node).get("iceberg_table") or f"{node['schema']}.{name}")

    def service_ids(self) -> list[str]:
        """Unique ids of the feature services: exposures of type ml."""
        return [i for i, node in self.exposures.items() if node["type"] == "ml"]

    def views_named_by(self, unique_id: str) -> list[str]:
        """Names of the views that a service lists, or that its exposure depends on.

        Raises:
            SpecError: its list of features is not a list.
        """
        return [item.view for item in self._listed(unique_id)]

    def service(
        self,
        unique_id: str,
        views: Mapping[str, list[str]],
        not_in_star: Mapping[str, Collection[str]] | None = None,
    ) -> DeclaredService:
        """One feature service.

        Args:
            views: view name to its features, in order.
            not_in_star: of a view, the columns that ``.*`` leaves out, in lower case: they have to
                be named.

        Raises:
            UnknownNameError: it lists a view or feature that does not exist.
        """
        node = self.exposures[unique_id]
        where = place_of(self.root, dict(node))
        listed, place = self._listed(unique_id), f"{where} ({node['name']})"
        features = list_features(listed, views, not_in_star or {}, place)
        self._check_edges(node, {item.view for item in listed}, str(where))
        return DeclaredService(
            node["name"],
            tuple(dict.fromkeys(features)),
            owner_of(node),
            node.get("description", ""),
            str(where),
            {item.role: Role(item.view, item.keys) for item in listed if item.role},
        )

    def _listed(self, unique_id: str) -> list[ServiceItem]:
        node = self.exposures[unique_id]
        options = meta_of(node).get("feature_service") or {}
        listed = options.get("features") if isinstance(options, Mapping) else None
        if listed is None:
            reads = [i for i in node["depends_on"]["nodes"] if i in self.nodes]
            return [
                ServiceItem(view_name(self.nodes[i]), "*")
                for i in reads
                if is_feature_view(self.nodes[i])
            ]
        if not isinstance(listed, list):
            raise SpecError(
                "config.meta.feature_service.features is not a list",
                where=place_of(self.root, dict(node)),
                hint="write `features: [view.feature, other_view.*]`",
            )
        place = str(place_of(self.root, dict(node)))
        return [found for item in listed for found in read_item(item, place)]

    def _check_edges(self, node: Mapping[str, Any], views: set[str], where: str) -> None:
        """dbt's own graph must know what a service reads, or `+exposure:` and dbt docs miss it."""
        known = set(node["depends_on"]["nodes"])
        missed = [
            n
            for i, n in sorted(self.nodes.items())
            if is_feature_view(n) and view_name(n) in views and i not in known
        ]
        if missed:
            version = {n["name"]: f", v={n['version']}" for n in missed if n.get("version")}
            lines = ", ".join(f"`- ref('{n['name']}'{version.get(n['name'], '')})`" for n in missed)
            raise SpecError(
                f"exposure {node['name']!r} lists features of "
                + ", ".join(map(view_name, missed))
                + ", which its depends_on does not name",
                where=where,
                hint=f"add {lines} to its depends_on",
            )

    def training_sets(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Unique id and node of every model materialized as a training set."""
        for unique_id, node in sorted(self.nodes.items()):
            if (
                node["resource_type"] == "model"
                and node["config"]["materialized"] == "training_set"
            ):
                yield unique_id, node


def _never_declared(node: Mapping[str, Any]) -> bool:
    """A seed of which nothing else is said is static: it changes only by a commit to the project."""
    return (
        node["resource_type"] == "seed"
        and not has_role(node)
        and meta_of(node).get("written") != "mutable"
    )


def owner_of(exposure: Mapping[str, Any]) -> str:
    """Mail address or name of an exposure's owner; empty where none is named."""
    owner = exposure.get("owner") or {}
    return str(owner.get("email") or owner.get("name") or "")


def _first(*said: str | None) -> str | None:
    return next((name for name in said if name), None)


def is_feature_view(node: Mapping[str, Any]) -> bool:
    """A model materialized as a feature view."""
    return bool(
        node["resource_type"] == "model" and node["config"]["materialized"] == "feature_view"
    )


def view_name(node: Mapping[str, Any]) -> str:
    """A view's name; a model version is part of it, since both versions may be served."""
    version = node.get("version")
    return f"{node['name']}_v{version}" if version is not None else str(node["name"])
