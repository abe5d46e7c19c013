"""Digests of what dbt has of feature views and services, by which one tells that they have changed.

`forebay compile` keeps them in the catalog, and a build of dbt's own compares. They are of what
decides a meaning: SQL as dbt renders it, without comments, and the part of the YAML that is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

from feature_specs.leaf_nodes import meta_of, stands_as_leaf, view_meta
from feature_specs.leaf_options import LEAF_OPTIONS
from feature_specs.strip_comments import strip_comments
from feature_specs.volatile_jinja import OF_THE_RUN, VOLATILE, jinja_parts

#: ``sql``: of the rendered query, of a node that is inlined; ``text``: of its file; ``yaml``: of
#: what its config and YAML declare.
Definition: TypeAlias = Mapping[str, str]

_LEAF_CONFIG = (
    "event_time", "loaded_at_field", "dbt_valid_to_current", "snapshot_meta_column_names",
    "hard_deletes",
)  # fmt: skip
#: Of a view's options, those that decide neither values nor whether they are served.
_NOT_MEANT = ("owner", "drift")


def define(
    manifest: Any, unique_ids: Iterable[str], compiled_code: Callable[[Any], str]
) -> dict[str, Definition]:
    """The definitions of some views and services, and of all that the views read.

    Args:
        manifest: dbt's own object.
        compiled_code: gives the SQL that dbt renders of a node.
    """
    asked = list(unique_ids)
    views = [i for i in asked if i in manifest.nodes]
    read = {i: manifest.nodes.get(i) or manifest.sources[i] for i in upstream(views, manifest)}
    found = {i: _define_node(manifest, node, compiled_code) for i, node in sorted(read.items())}
    services = ((i, manifest.exposures[i]) for i in asked if i in manifest.exposures)
    return {**found, **{i: {"yaml": _digest(_service(node))} for i, node in services}}


def services_of(manifest: Any) -> dict[str, str]:
    """Unique id of every feature service to its name."""
    return {i: e.name for i, e in manifest.exposures.items() if str(e.type) == "ml"}


def _define_node(manifest: Any, node: Any, compiled_code: Callable[[Any], str]) -> Definition:
    plain = node.to_dict(omit_none=False)
    if plain["resource_type"] == "source" or stands_as_leaf(plain):
        return {"yaml": _digest(_leaf(plain))}
    raw = str(node.raw_code)
    macros = sorted(macros_under(manifest, node.depends_on.macros))
    steady = not any(
        pattern.search(part)
        for text in (raw, *macros)
        for part in jinja_parts(text)
        for pattern in (VOLATILE, OF_THE_RUN)
    )
    # What is rendered anew in every run, or asks the database, is compared as it is written.
    sql = strip_comments(compiled_code(node)) if steady else [raw, *macros]
    return {"sql": _digest(sql), "text": _digest(raw), "yaml": _digest(_view(plain))}


def _leaf(node: Mapping[str, Any]) -> list[Any]:
    config = node["config"]
    meta = {**(node.get("source_meta") or {}), **meta_of(node)}
    return [
        node["resource_type"],
        [node.get(n) for n in ("database", "schema", "alias", "identifier", "loaded_at_field")],
        {name: config.get(name) for name in _LEAF_CONFIG},
        {n: v for n, v in meta.items() if n in (*LEAF_OPTIONS, "loaded_at_field")},
    ]


def _view(node: Mapping[str, Any]) -> list[Any]:
    """The definition of one view or model; of a model that is only inlined, YAML does not count."""
    config = node["config"]
    if config["materialized"] != "feature_view":
        return []
    options = view_meta(node)
    if isinstance(options, Mapping):
        options = {n: v for n, v in options.items() if n not in _NOT_MEANT}
    return [node["schema"], node["alias"], config.get("event_time"), options]


def _service(node: Any) -> list[Any]:
    plain = node.to_dict(omit_none=False)
    listed = meta_of(plain).get("feature_service")
    return [plain["name"], listed, None if listed else sorted(plain["depends_on"]["nodes"])]


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def upstream(views: Iterable[str], manifest: Any, *, beyond_leaves: bool = False) -> set[str]:
    """The views, and all that they read down to their leaves, or down to the sources."""
    seen = set(views)
    todo = list(seen)
    while todo:
        node = manifest.nodes.get(todo.pop())
        if node is None or (is_leaf(node) and not beyond_leaves):
            continue
        found = set(getattr(node.depends_on, "nodes", ())) - seen
        seen |= found
        todo += found
    return seen


def is_leaf(node: Any) -> bool:
    """Whether a node of dbt's manifest is a leaf."""
    return node is not None and stands_as_leaf(node.to_dict(omit_none=False))


def macros_under(manifest: Any, unique_ids: Collection[str]) -> list[str]:
    """The texts of macros and of all macros that they call."""
    seen = set(unique_ids)
    todo = list(seen)
    while todo:
        macro = manifest.macros.get(todo.pop())
        found = set(macro.depends_on.macros) - seen if macro else set()
        seen |= found
        todo += found
    return [str(m.macro_sql) for i in seen if (m := manifest.macros.get(i))]
