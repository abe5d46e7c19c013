"""A project's leaves, views and services, each compiled when it is asked for and nothing is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from feature_specs.aliases import alias_features
from feature_specs.catalog import Feature, LeafEntry, ViewEntry
from feature_specs.check_past import check_past
from feature_specs.drift_options import check_drifting
from feature_specs.errors import ForebayError, TimeRoleError
from feature_specs.leaf import Leaf
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.manifest import DeclaredService, DeclaredView, Manifest
from feature_specs.names import fold_name
from feature_specs.retention import Retention, check_retention
from forebay.compilation.compile_cache import CompileCache, ViewParts
from forebay.compilation.copy_leaves import origin_of
from forebay.compilation.declared_retention import declared_retention
from forebay.compilation.generate_macros import ServiceSql
from forebay.compilation.read_leaves import not_in_iceberg
from forebay.dbt_project.project import Project
from lakehouse.duckdb_types import column_types
from lakehouse.lake import catalog_errors, find_table
from lakehouse.relations import unreadable_table

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Lake

    from feature_specs.compile import CompiledView


class Leaves:
    """The project's leaves, each with the columns that its Iceberg table has.

    Args:
        known: columns of tables as they were, to be taken where a table cannot be read.
        faults: by unique id, what is wrong with some leaves already; what is found is added.
    """

    def __init__(
        self,
        manifest: Manifest,
        lake: Lake,
        known: Mapping[str, Mapping[str, str]] | None = None,
        faults: Mapping[str, ForebayError] | None = None,
    ) -> None:
        self.manifest, self.lake = manifest, lake
        self.known, self.faults = known or {}, dict(faults or {})
        self.found: dict[str, Leaf] = {}
        self.columns: dict[str, dict[str, str]] = {}

    def leaf(self, unique_id: str) -> Leaf:
        if unique_id not in self.found:
            name = self.manifest.iceberg_table(unique_id)
            if name not in self.columns:
                self.columns[name] = self._known_columns(unique_id, name)
            self.found[unique_id] = self.manifest.leaf(
                unique_id, self.columns[name], valid_to_open=self._open_end(unique_id)
            )
        return self.found[unique_id]

    def _known_columns(self, unique_id: str, name: str) -> dict[str, str]:
        try:
            return self._columns(unique_id, name)
        except catalog_errors():
            raise  # the catalog itself, and so all of its tables
        except known_errors() as error:
            fault = unreadable_table(name, explain_one(error))
            self.faults.setdefault(unique_id, fault)
            if name in self.known:
                return dict(self.known[name])
            raise self.faults[unique_id] from error

    def _columns(self, unique_id: str, name: str) -> dict[str, str]:
        table = find_table(self.lake, name)
        if table is None:
            raise not_in_iceberg(self.lake, self.manifest, unique_id, name)
        return column_types(table.schema())

    def _open_end(self, unique_id: str) -> str | None:
        config = self.manifest.nodes.get(unique_id, {}).get("config", {})
        current = config.get("dbt_valid_to_current")
        if current is None:
            return None
        from lakehouse.open_end import open_end

        return open_end(str(current), self.manifest.nodes[unique_id]["original_file_path"])

    def _entry(self, unique_id: str, leaf: Leaf) -> LeafEntry:
        entry = _entry_of(leaf, self.manifest.iceberg_table(unique_id))
        return replace(entry, origin=origin_of(self.manifest, unique_id))

    def entries(self, used: set[str]) -> dict[str, LeafEntry]:
        return {
            leaf.name: self._entry(i, leaf)
            for i, leaf in sorted(self.found.items())
            if leaf.name in used
        }


class Views:
    """The project's views, each compiled when nothing is kept of it, and then once."""

    def __init__(self, project: Project, manifest: Manifest, leaves: Leaves) -> None:
        self.manifest, self.leaves = manifest, leaves
        self.cache = CompileCache(project.folder)
        self.retention = declared_retention(manifest)
        self.declared: dict[str, DeclaredView] = {}
        self.keys: dict[str, str] = {}
        self.parts: dict[str, ViewParts] = {}
        self.compiled: dict[str, CompiledView] = {}

    def entry(self, unique_id: str) -> ViewEntry:
        """What the catalog says of a view.

        Raises:
            ForebayError: it cannot be compiled.
        """
        declared = self.manifest.view(unique_id)
        name = declared.view.name
        self.declared[name] = declared
        self.keys[name] = self.cache.view_key(declared.view, self._leaves(declared))
        kept = self.cache.view(name, self.keys[name])
        parts = kept or self._compile_parts(name)
        entry = _view_entry(declared, parts)
        if kept is None:
            _check_read_time(entry)
        check_retention(name, entry.file, self._retained(declared), entry.reach)
        self.parts[name] = parts
        return entry

    def _retained(self, declared: DeclaredView) -> dict[str, Retention]:
        """By name, the leaves that a view reads whose rows are removed one day."""
        tables = {i: self.manifest.iceberg_table(i) for i in declared.sources}
        return {
            self.leaves.leaf(i).name: self.retention[table]
            for i, table in tables.items()
            if table in self.retention
        }

    def fault(self, name: str) -> ForebayError | None:
        """What is wrong with a leaf that a view reads, as far as anything was found."""
        read = self.declared[name].sources if name in self.declared else ()
        return next((self.leaves.faults[i] for i in read if i in self.leaves.faults), None)

    def _leaves(self, declared: DeclaredView) -> list[Leaf]:
        return [self.leaves.leaf(i) for i in declared.sources]

    def compile(self, name: str) -> CompiledView:
        from forebay.compilation import compile_parts

        if name not in self.compiled:
            declared = self.declared[name]
            leaves = self._leaves(declared)
            self.compiled[name] = compile_parts.compile_view(declared.view, leaves)
        return self.compiled[name]

    def _compile_parts(self, name: str) -> ViewParts:
        from forebay.compilation import compile_parts

        return compile_parts.parts_of(self.compile(name))

    def service(self, service: DeclaredService) -> ServiceSql:
        """A service's statement.

        Raises:
            ForebayError: it cannot be compiled.
        """
        roles = service.roles
        behind = (roles[n].view if n in roles else n for n, _ in service.features)
        names = tuple(dict.fromkeys(behind))
        aliases = self._aliases(service)
        keys = (self.keys[n] for n in names)
        key = self.cache.service_key(service.features, keys, roles, aliases)
        template = self.cache.service(service.name, key)
        no_past = self._why_no_past(names)
        if no_past:
            template = ""
        if template is None:
            from forebay.compilation import compile_parts

            views = [self.compile(n) for n in names]
            template = compile_parts.service_template(service.features, views, roles, aliases)
        nodes = [self.declared[n].node for n in names]
        models = [(str(n["package_name"]), str(n["name"]), n.get("version")) for n in nodes]
        return ServiceSql(service.name, template, tuple(models), no_past)

    def _aliases(self, service: DeclaredService) -> dict[tuple[str, str], str]:
        """Of the service's features those that are aliases, to the features' own names."""
        found = {}
        for name, feature in service.features:
            view = service.roles[name].view if name in service.roles else name
            alias = self.declared[view].options.aliases.get(feature)
            if alias is not None:
                found[name, feature] = alias.of
        return found

    def _why_no_past(self, names: Iterable[str]) -> str:
        try:
            for name in names:
                check_past(name, self._leaves(self.declared[name]))
        except TimeRoleError as lost:
            return str(lost)
        return ""


def _check_read_time(entry: ViewEntry) -> None:
    """Refuse now what the lookup API could not read."""
    from serving.read_time import compile_feature

    for feature in entry.features:
        if feature.expression is not None:
            compile_feature(entry, feature)


def _view_entry(view: DeclaredView, parts: ViewParts) -> ViewEntry:
    node = view.node
    check_drifting(view.options.drift, [name for name, *_ in parts.features], view.view.name)
    features = _features(node, parts)
    columns = [*parts.entities, *parts.requests, *parts.stored]
    taken = {fold_name(name) for name in (*(c.name for c in columns), parts.event_time or "")}
    where = f"{node['original_file_path']} ({view.view.name})"
    aliases = alias_features(view.options.aliases, features, taken, where)
    return ViewEntry.of(
        view.view.name,
        f"{node['schema']}.{node['alias']}",
        unique_id=view.unique_id,
        file=str(node["original_file_path"]),
        semantic_hash=parts.semantic_hash,
        entities=parts.entities,
        stored=parts.stored,
        features=features,
        aliases=aliases,
        event_time=parts.event_time,
        ttl=view.options.ttl,
        freshness=view.options.freshness,
        on_stale=view.options.on_stale,
        leaves=parts.leaves,
        joined=parts.joined,
        lowering=parts.lowering,
        owner=view.options.owner,
        description=str(node.get("description", "")),
        requests=parts.requests,
        assumptions=parts.assumptions,
        definition_hash=_digest(parts.definition),
        drift=view.options.drift,
        reach=parts.reach,
        reads=parts.reads,
        deprecated=str(node.get("deprecation_date") or ""),
    )


def _features(node: Mapping[str, Any], parts: ViewParts) -> tuple[Feature, ...]:
    documented = {fold_name(name): c for name, c in (node.get("columns") or {}).items()}
    return tuple(
        Feature(name, kind, str(documented.get(fold_name(name), {}).get("description", "")), tree)
        for name, kind, tree in parts.features
    )


def _digest(definition: Mapping[str, Any]) -> str:
    text = json.dumps(definition, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _entry_of(leaf: Leaf, table: str) -> LeafEntry:
    said = {
        "event_time": leaf.event_time,
        "loaded_at": None if leaf.visibility == "event" else leaf.loaded_at,
        "valid_from": leaf.valid_from,
        "valid_to": leaf.valid_to,
        "valid_to_open": leaf.valid_to_open,
        "valid_to_inclusive": "true" if leaf.valid_to_inclusive else None,
        "timezone": leaf.timezone,
        "date_visible": leaf.date_visible,
    }
    times = {name: str(value) for name, value in said.items() if value is not None}
    key = () if leaf.changelog is None else leaf.changelog.key
    return LeafEntry(
        leaf.name,
        leaf.name,
        table,
        str(leaf.role),
        leaf.written,
        times,
        key,
        columns=dict(leaf.columns),
    )
