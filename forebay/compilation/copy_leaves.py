"""Have dbt copy the seeds, snapshots and models that feature views read into Iceberg."""

from __future__ import annotations

import json
from collections.abc import Collection

from feature_specs.catalog import Catalog, LeafEntry, Origin
from feature_specs.errors import ForebayError
from feature_specs.leaf_nodes import leaf_relation, snapshot_columns
from feature_specs.manifest import Manifest
from forebay.dbt_project.project import Project
from lakehouse.copy_leaf import LEAVES, REFUSED
from lakehouse.write_text import write_if_changed


def copy_leaves(
    project: Project, manifest: Manifest, leaves: Collection[str]
) -> dict[str, ForebayError]:
    """Copy the rows of some leaves from the project's database, where it has them.

    Only dbt opens that database, so it is dbt that runs the plugin which copies. A leaf that is
    refused, as one with a column whose type cannot be kept, leaves the others to be copied.

    Args:
        leaves: unique ids of seeds, snapshots and models.

    Returns:
        By unique id, why a leaf was not copied.
    """
    if not leaves:
        return {}
    entries = [_unread(manifest, unique_id) for unique_id in sorted(leaves)]
    asked = Catalog(
        manifest.project, project.lake, project.online, leaves={e.name: e for e in entries}
    )
    write_if_changed(project.folder / LEAVES, asked.dumps())
    (project.folder / REFUSED).unlink(missing_ok=True)
    project.dbt(["run-operation", "forebay_copy_leaves"], quiet=True)
    return {node: ForebayError(**said) for node, said in _refused(project).items()}


def _refused(project: Project) -> dict[str, dict[str, str]]:
    path = project.folder / REFUSED
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _unread(manifest: Manifest, unique_id: str) -> LeafEntry:
    """A leaf before its columns, and so its role, are known."""
    name = leaf_relation(manifest.nodes[unique_id])
    origin = origin_of(manifest, unique_id)
    return LeafEntry(name, name, manifest.iceberg_table(unique_id), "", origin=origin)


def origin_of(manifest: Manifest, unique_id: str) -> Origin | None:
    """Where the rows of a leaf that is a dbt node come from; None for a source."""
    node = manifest.nodes.get(unique_id)
    if node is None:
        return None
    snapshot = node["resource_type"] == "snapshot"
    version = snapshot_columns(node)["dbt_scd_id"] if snapshot else ""
    return Origin(unique_id, str(node["relation_name"]), version)
