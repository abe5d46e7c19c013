"""A project's lineage, from the compiled views and dbt's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_specs.catalog import Catalog
from feature_specs.manifest import Manifest, owner_of
from feature_specs.names import fold_name
from forebay.compilation.compile_cache import ViewParts
from lineage.project_lineage import Exposure, ProjectLineage, project_lineage
from lineage.view_lineage import load_lineage


def lineage_of(
    manifest: Manifest, catalog: Catalog, parts: Mapping[str, ViewParts]
) -> ProjectLineage:
    """What reaches each feature, and who reads it."""
    views = {name: load_lineage(parts[name].lineage) for name in catalog.views}
    models = {
        fold_name(str(node["relation_name"]).replace('"', "").replace("`", "")): str(node["name"])
        for node in manifest.nodes.values()
        if node["resource_type"] == "model" and node.get("relation_name")
    }
    return project_lineage(catalog, views, _consumers(manifest, catalog), models)


def _consumers(manifest: Manifest, catalog: Catalog) -> dict[str, Exposure]:
    names = {view.unique_id: view.name for view in catalog.views.values()}
    names |= {t.unique_id: t.name for t in catalog.training_sets.values()}
    return {
        unique_id: Exposure(
            str(node["name"]),
            str(node["type"]),
            owner_of(node),
            tuple(sorted(names[i] for i in node["depends_on"]["nodes"] if i in names)),
        )
        for unique_id, node in sorted(manifest.exposures.items())
    }


def readers_of(catalog: Catalog, view: str) -> dict[str, Any]:
    """What those who ask for a view go by: its services, the names and keys that they ask by, and
    the types of its own keys, and the values that a caller has to send for each feature."""
    services: dict[str, list[str]] = {}
    asked: dict[str, dict[str, dict[str, str]]] = {}
    for service in catalog.services.values():
        for name, feature in service.features:
            if catalog.view_behind(name) == view:
                own = catalog.view(view).feature(feature).own_name
                services.setdefault(service.name, []).extend(dict.fromkeys((feature, own)))
                role = None if name == view else catalog.roles[name]
                keys = {} if role is None else dict(role.keys)
                asked.setdefault(service.name, {})[name] = keys
    entry = catalog.view(view)
    kinds = {column.name: column.type for column in entry.requests}
    sent = {
        feature.name: {name: kinds[name] for name in feature.request_names if name in kinds}
        for feature in entry.features
    }
    return {
        "project": catalog.project,
        "services": services,
        "key_types": {key.name: key.type for key in entry.entities},
        "asked": asked,
        "requests": {feature: names for feature, names in sent.items() if names},
    }
