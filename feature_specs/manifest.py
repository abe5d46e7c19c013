"""Reading dbt's manifest: leaves with their time roles, feature views, services, training sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError, SpecError, UnknownNameError, did_you_mean
from feature_specs.leaf import Leaf, read_changelog
from feature_specs.view import FeatureView
from feature_specs.view_options import ViewOptions, read_options
from feature_specs.yaml_places import place_of

_LEAF_META = (
    "valid_from", "valid_to", "valid_to_open", "changelog", "time", "time_safe", "visibility",
    "known_later", "written", "timezone", "date_visible", "iceberg_table", "rows_per_key",
)  # fmt: skip


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
        self.project: str = raw["metadata"]["project_name"]

    def view_ids(self) -> dict[str, str]:
        """Unique id of every feature view to its name, sorted."""
        return {i: view_name(n) for i, n in sorted(self.nodes.items()) if is_feature_view(n)}

    def view(self, unique_id: str) -> DeclaredView:
        """One feature view.

        Raises:
            ForebayError: its options are wrong, or it reads what cannot be read.
        """
        node = self.nodes[unique_id]
        where = place_of(self.root, dict(node), "feature_view")
        meta = node["config"].get("meta") or {}
        options = read_options(meta.get("feature_view"), where, boundary=self.boundary)
        upstream = self._upstream(unique_id)
        for broken in (unique_id, *upstream):
            if broken in self.failed:
                raise self.failed[broken]
        models = {
            self.nodes[i]["relation_name"]: self.nodes[i]["compiled_code"]
            for i in upstream
            if i in self.nodes
        }
        leaves = tuple(i for i in upstream if i in self.sources)
        return DeclaredView(
            unique_id,
            node,
            FeatureView(
                view_name(node),
                node["compiled_code"],
                options.entities,
                event_time=node["config"].get("event_time"),
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
        """Ids of all that a view reads, leaves last; refuses what cannot be inlined."""
        seen: dict[str, None] = {}
        todo = list(self.nodes[unique_id]["depends_on"]["nodes"])
        while todo:
            current = todo.pop()
            if current in seen:
                continue
            seen[current] = None
            if current in self.sources:
                continue
            node = self.nodes[current]
            self._require_inlinable(node)
            todo += node["depends_on"]["nodes"]
        return list(seen)

    def _require_inlinable(self, node: Mapping[str, Any]) -> None:
        kind = node["resource_type"]
        inlinable = kind == "model" and node.get("language", "sql") == "sql"
        if inlinable and node["config"]["materialized"] != "incremental":
            return
        what = "incremental model" if inlinable else f"{node.get('language', '')} {kind}".strip()
        raise SpecError(
            f"{what} {node['name']!r} stands under a feature view, but its rows are not in Iceberg",
            where=place_of(self.root, dict(node)),
            mend="load it with `forebay ingest`, declare that table as a source with a time role, "
            "and read the source",
        )

    def leaf(self, unique_id: str, columns: Mapping[str, str]) -> Leaf:
        """The leaf of a source.

        Args:
            columns: its columns and DuckDB types, as its Iceberg table has them.

        Raises:
            SpecError: a role names a column that is not there, or a field is unknown.
        """
        node = self.sources[unique_id]
        config = node["config"]
        meta = {**(node.get("source_meta") or {}), **(config.get("meta") or node.get("meta") or {})}
        where = str(place_of(self.root, dict(node)))
        options = {k: v for k, v in meta.items() if k in _LEAF_META}
        time = options.pop("time", None)
        if time not in (None, "static"):
            raise SpecError(
                f"meta.time is {time!r}", where=where, mend="write `time: static`, or a time role"
            )
        options.pop("iceberg_table", None)
        log = options.pop("changelog", None)
        if log is not None:
            options["changelog"] = read_changelog(log, where)
        known = options.get("known_later") or {}
        if not isinstance(known, Mapping):
            raise SpecError(
                "meta.known_later is no mapping",
                where=where,
                mend="write `known_later: {<column>: <time it became known>}`",
            )
        _check_choices(options, where)
        rows = options.get("rows_per_key")
        if rows is not None and (
            not isinstance(rows, (int, float)) or isinstance(rows, bool) or rows <= 0
        ):
            raise SpecError(
                f"meta.rows_per_key is {rows!r}",
                where=where,
                mend="write about how many rows a key has",
            )
        return Leaf(
            node["relation_name"],
            columns,
            event_time=config.get("event_time"),
            loaded_at=config.get("loaded_at_field") or node.get("loaded_at_field"),
            static=time == "static",
            where=where,
            **options,
        )

    def iceberg_table(self, unique_id: str) -> str:
        """The Iceberg identifier behind a source: ``meta.iceberg_table``, else schema.identifier."""
        node = self.sources[unique_id]
        meta = node["config"].get("meta") or {}
        return str(meta.get("iceberg_table") or f"{node['schema']}.{node['identifier']}")

    def service_ids(self) -> list[str]:
        """Unique ids of the feature services: exposures of type ml."""
        return [i for i, node in self.exposures.items() if node["type"] == "ml"]

    def views_named_by(self, unique_id: str) -> list[str]:
        """Names of the views that a service lists, or that its exposure depends on.

        Raises:
            SpecError: what it lists is no list.
        """
        return [_split_reference(item)[0] for item in self._listed(unique_id)]

    def service(self, unique_id: str, views: Mapping[str, list[str]]) -> DeclaredService:
        """One feature service.

        Args:
            views: view name to its features, in order.

        Raises:
            UnknownNameError: it lists a view or feature that does not exist.
        """
        node = self.exposures[unique_id]
        where = place_of(self.root, dict(node))
        features: list[tuple[str, str]] = []
        for item in self._listed(unique_id):
            features += _references(item, views, f"{where} ({node['name']})")
        owner = node.get("owner") or {}
        return DeclaredService(
            node["name"],
            tuple(dict.fromkeys(features)),
            owner.get("email") or owner.get("name") or "",
            node.get("description", ""),
            str(where),
        )

    def _listed(self, unique_id: str) -> list[str]:
        node = self.exposures[unique_id]
        meta = node["config"].get("meta") or node.get("meta") or {}
        options = meta.get("feature_service") or {}
        listed = options.get("features") if isinstance(options, Mapping) else None
        if listed is None:
            reads = [i for i in node["depends_on"]["nodes"] if i in self.nodes]
            return [
                f"{view_name(self.nodes[i])}.*" for i in reads if is_feature_view(self.nodes[i])
            ]
        if not isinstance(listed, list):
            raise SpecError(
                "config.meta.feature_service.features is no list",
                where=place_of(self.root, dict(node)),
                mend="write `features: [view.feature, other_view.*]`",
            )
        return [str(item) for item in listed]

    def training_sets(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Unique id and node of every model materialized as a training set."""
        for unique_id, node in sorted(self.nodes.items()):
            if (
                node["resource_type"] == "model"
                and node["config"]["materialized"] == "training_set"
            ):
                yield unique_id, node


def is_feature_view(node: Mapping[str, Any]) -> bool:
    """A model materialized as a feature view."""
    return bool(
        node["resource_type"] == "model" and node["config"]["materialized"] == "feature_view"
    )


def view_name(node: Mapping[str, Any]) -> str:
    """A view's name; a model version is part of it, since both versions may be served."""
    version = node.get("version")
    return f"{node['name']}_v{version}" if version is not None else str(node["name"])


def _split_reference(item: str) -> tuple[str, str]:
    view, _, feature = item.replace("__", ".", 1).replace(":", ".", 1).partition(".")
    return view, feature


def _references(item: str, views: Mapping[str, list[str]], where: str) -> list[tuple[str, str]]:
    view, feature = _split_reference(item)
    if view not in views:
        raise UnknownNameError(
            f"no feature view is named {view!r}", where=where, mend=did_you_mean(view, views)
        )
    if feature in ("*", ""):
        return [(view, name) for name in views[view]]
    if feature not in views[view]:
        raise UnknownNameError(
            f"feature view {view!r} has no feature {feature!r}",
            where=where,
            mend=did_you_mean(feature, views[view]),
        )
    return [(view, feature)]


def _check_choices(options: Mapping[str, Any], where: str) -> None:
    for name, known in (
        ("visibility", ("arrival", "event", "history")),
        ("written", ("append", "changelog", "mutable")),
        ("date_visible", ("start", "end")),
    ):
        if name in options and options[name] not in known:
            raise SpecError(
                f"meta.{name} is {options[name]!r}", where=where, mend="write " + " or ".join(known)
            )
