"""Gather the catalogue's facts about a project from dbt's manifest and the compiled plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from feature_specs.catalog import Catalog
from feature_specs.catalogue_facts import (
    CatalogueFacts,
    Consumer,
    FeatureFacts,
    GroupFacts,
    Reach,
    ServiceFacts,
    SourceFacts,
    ViewFacts,
)
from feature_specs.leaf_nodes import leaf_relation, meta_of
from feature_specs.manifest import Manifest, is_feature_view, owner_of
from forebay.compilation.compile_cache import ViewParts
from lineage.effects import DIRECT, INDIRECT, NOTHING, Effects
from lineage.view_lineage import load_lineage

#: Tags that say how a model is built rather than what it is about.
_BUILD_TAGS = frozenset({"feature_view"})


def gather_facts(
    manifest: Manifest, catalog: Catalog, parts: Mapping[str, ViewParts]
) -> CatalogueFacts:
    """The facts of every view, service, leaf and group of a catalog, and of what reads its views."""
    ids = {name: i for i, name in manifest.view_ids().items()}
    return CatalogueFacts(
        views={
            name: _view(manifest.nodes[ids[name]], view.definition_hash, parts[name])
            for name, view in catalog.views.items()
        },
        services={
            str(node["name"]): _service(node)
            for node in manifest.exposures.values()
            if node["name"] in catalog.services
        },
        sources=_sources(manifest, catalog),
        groups={str(g["name"]): _group(g) for g in manifest.groups.values()},
        consumers=tuple(_consumers(manifest, catalog)),
    )


def _view(node: Mapping[str, Any], definition_hash: str, parts: ViewParts) -> ViewFacts:
    columns = {str(n).lower(): c for n, c in (node.get("columns") or {}).items()}
    known = parts.definition.get("features", {})
    lineage = load_lineage(parts.lineage)
    return ViewFacts(
        definition_hash=definition_hash,
        sql=str(node.get("raw_code") or "").strip(),
        model=str(node["name"]),
        version=_text(node.get("version")),
        latest_version=_text(node.get("latest_version")),
        tags=_tags(node),
        bounds=parts.bounds,
        rows=_reaches(lineage.rows),
        features={
            name: FeatureFacts(
                str(known.get(name, {}).get("sql", "")),
                _tags(columns.get(name.lower(), {})),
                _reaches(lineage.features.get(name, NOTHING)),
            )
            for name, _, _ in parts.features
        },
    )


def _reaches(effects: Effects) -> tuple[Reach, ...]:
    """Those that do more than settle ties."""
    found = []
    for (leaf, column), how in sorted(effects.items()):
        names = {effect.subtype for effect in how if not effect.tie}
        if names:
            found.append(Reach(leaf, column, tuple(n for n in (*DIRECT, *INDIRECT) if n in names)))
    return tuple(found)


def _service(node: Mapping[str, Any]) -> ServiceFacts:
    return ServiceFacts(
        label=_text(node.get("label")),
        maturity=_text(node.get("maturity")),
        url=_text(node.get("url")),
        owner=owner_of(node),
        tags=_tags(node),
    )


def _sources(manifest: Manifest, catalog: Catalog) -> dict[str, SourceFacts]:
    """By the leaf's name, which is the relation that compiled SQL reads."""
    named = {str(node["relation_name"]): node for node in manifest.sources.values()}
    named |= {leaf_relation(manifest.nodes[i]): manifest.nodes[i] for i in manifest.leaf_nodes()}
    found = {}
    for name, leaf in catalog.leaves.items():
        node = named.get(leaf.relation)
        if node is not None:
            found[name] = SourceFacts(
                description=_text(node.get("description")) or _text(node.get("source_description")),
                owner=_text(meta_of(node).get("owner")),
                tags=_tags(node),
                columns={
                    str(column["name"]): _text(column.get("description"))
                    for column in (node.get("columns") or {}).values()
                },
            )
    return found


def _consumers(manifest: Manifest, catalog: Catalog) -> Iterator[Consumer]:
    """Models and exposures that read a feature view, and training sets with what reads those."""
    views = {i: name for i, name in manifest.view_ids().items() if name in catalog.views}
    sets = {t.unique_id: t for t in catalog.training_sets.values()}
    every = {**manifest.nodes, **manifest.exposures}
    for unique_id, node in sorted(every.items()):
        kind = node["resource_type"]
        if kind not in ("model", "exposure") or is_feature_view(node):
            continue
        if kind == "exposure" and node["name"] in catalog.services:
            continue  # a service, which has a page of its own
        upstream = node["depends_on"]["nodes"]
        reads = tuple(views[i] for i in upstream if i in views)
        services = {sets[i].service for i in (*upstream, unique_id) if i in sets}
        if not reads and not services:
            continue
        known = {"model": "training set" if unique_id in sets else "model"}
        yield Consumer(
            name=str(node["name"]),
            kind=known.get(kind) or str(node.get("type") or kind),
            owner=owner_of(node) if kind == "exposure" else _text(meta_of(node).get("owner")),
            url=_text(node.get("url")),
            description=_text(node.get("description")),
            reads=reads,
            services=tuple(sorted(services)),
        )


def _group(group: Mapping[str, Any]) -> GroupFacts:
    return GroupFacts(_text(group.get("description")), owner_of(group))


def _tags(node: Mapping[str, Any]) -> tuple[str, ...]:
    said = node.get("tags") or (node.get("config") or {}).get("tags") or ()
    given = [said] if isinstance(said, str) else said
    return tuple(dict.fromkeys(str(t) for t in given if t not in _BUILD_TAGS))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).strip()
