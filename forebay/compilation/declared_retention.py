"""How long the rows of a project's sources are kept, as their ``meta.retention`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from feature_specs.errors import SpecError
from feature_specs.instants import microseconds
from feature_specs.leaf_nodes import meta_of, stands_as_leaf
from feature_specs.manifest import Manifest
from feature_specs.retention import Retention, parse_retention
from feature_specs.yaml_places import place_of

_FIELD = "meta.retention"


def declared_retention(manifest: Manifest) -> dict[str, Retention]:
    """Iceberg table to how long its rows are kept.

    Of two sources over one table the shorter time counts, and rows have to be old by the times of
    every source over it, also of one without a retention: its views go by its own times.

    Raises:
        SpecError: it is not a duration, or stands where rows do not age.
    """
    found: dict[str, Retention] = {}
    for unique_id, node in sorted(manifest.sources.items()):
        meta = {**(node.get("source_meta") or {}), **meta_of(node)}
        said = meta.get("retention")
        if said is None:
            continue
        where = str(place_of(manifest.root, dict(node)))
        kept = microseconds(parse_retention(said, field=_FIELD, where=where))
        table, columns = manifest.iceberg_table(unique_id), _times(node, meta, where)
        known = found.get(table, Retention(columns, kept))
        both = tuple(dict.fromkeys((*known.columns, *columns)))
        found[table] = Retention(both, min(known.keep_us, kept))
    for unique_id, node in sorted(manifest.sources.items()):
        table = manifest.iceberg_table(unique_id)
        if table in found:
            columns = (*found[table].columns, *_times_read(node, manifest))
            found[table] = replace(found[table], columns=tuple(dict.fromkeys(columns)))
    for unique_id, node in manifest.nodes.items():
        made = stands_as_leaf(node) and manifest.iceberg_table(unique_id) in found
        if made or meta_of(node).get("retention") is not None:
            raise SpecError(
                f"{_FIELD} stands on {node['resource_type']} {node['name']!r}, whose rows dbt makes",
                where=str(place_of(manifest.root, dict(node))),
                hint="declare it on a source whose rows others write",
            )
    return found


def _times_read(node: Mapping[str, Any], manifest: Manifest) -> tuple[str, ...]:
    """The times by which a source's views read a table whose rows go, as `_times`.

    One without a time has none: its views read all the past, and are refused by themselves.
    """
    meta = {**(node.get("source_meta") or {}), **meta_of(node)}
    roles = ("valid_from", "changelog", "written", "visibility")
    if not node["config"].get("event_time") and not any(meta.get(role) for role in roles):
        return ()
    return _times(node, meta, str(place_of(manifest.root, dict(node))))


def _times(node: Mapping[str, Any], meta: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The columns of which all lie back in a row that may go. Raises SpecError where there is none."""
    config = node["config"]
    loaded = config.get("loaded_at_field") or node.get("loaded_at_field")
    loaded = loaded or meta.get("loaded_at_field")
    changing = meta.get("changelog") or meta.get("written") in ("changelog", "mutable")
    if changing or meta.get("visibility") == "history":
        raise SpecError(
            f"{_FIELD} stands on a table whose old rows still say how things are",
            where=where,
            hint="remove it: only events, and versions that have ended, may go",
        )
    if config.get("event_time"):
        return tuple(dict.fromkeys(c for c in (config["event_time"], loaded) if c))
    if meta.get("valid_from") and meta.get("valid_to"):
        return (str(meta["valid_to"]),)
    raise SpecError(
        f"{_FIELD} stands on a table without a time by which rows age",
        where=where,
        hint="declare `event_time`, or `meta: {valid_from: ..., valid_to: ...}`, or remove it",
    )
