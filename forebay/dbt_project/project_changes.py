"""What has changed in a project since it was compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from feature_specs.catalog import Catalog
from feature_specs.manifest import Manifest
from forebay.dbt_project.fingerprint_project import fingerprint_project
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_manifest import kept_manifest
from lakehouse.check_current import differences


def changes_of(manifest: Manifest, catalog: Catalog, asked: Iterable[str]) -> list[str]:
    """What some views and services, and all that they read, differ in from what was compiled.

    Args:
        manifest: the project as it stands now.
        asked: unique ids.
    """
    wanted = set(asked)
    roots, todo = set(wanted), list(wanted)
    while todo:
        unique_id = todo.pop()
        # Beyond a leaf, which has no query that is inlined, nothing counts.
        inlined = "sql" in manifest.definitions.get(unique_id, {})
        read = manifest.nodes[unique_id]["depends_on"]["nodes"] if inlined else ()
        fresh = set(read) & set(manifest.definitions) - wanted
        wanted |= fresh
        todo += fresh
    now = {i: d for i, d in manifest.definitions.items() if i in wanted}
    return differences(catalog.compiled_from, now, {i: _files(manifest, i) for i in now}, roots)


def _files(manifest: Manifest, unique_id: str) -> tuple[str, str]:
    kinds: tuple[Mapping[str, Any], ...] = (manifest.nodes, manifest.sources, manifest.exposures)
    node = next(found[unique_id] for found in kinds if unique_id in found)
    text = str(node["original_file_path"])
    return text, str(node.get("patch_path") or text).rpartition("://")[2]


def project_changes(project: Project, catalog: Catalog) -> list[str]:
    """What has changed in the whole project, as far as can be told without dbt.

    Exact where dbt has read the project as it stands; else the files that are others than when it
    last did are told too, whatever it is that has changed in them.
    """
    kept, now = kept_manifest(project), fingerprint_project(project)
    if now is None:
        return []
    known: list[str] = []
    if "manifest" in kept:
        manifest = Manifest(kept["manifest"], project.root, project.boundary)
        known = changes_of(manifest, catalog, [*manifest.view_ids(), *manifest.service_ids()])
    if kept.get("key") == now.key:
        return known
    before: Mapping[str, str] = kept.get("files") or now.files
    files = sorted({*before, *now.files})
    moved = [name for name in files if before.get(name) != now.files.get(name)]
    return list(dict.fromkeys([*known, *moved]))


def tell_changes(project: Project, catalog: Catalog, goes_by: str) -> None:
    """Say on stderr that the project has changed since it was compiled, if it has.

    Args:
        goes_by: what the command does all the same, as a clause.
    """
    changed = project_changes(project, catalog)
    if changed:
        click.echo(
            f"note: the project has changed since it was compiled: {shorten(changed)}. "
            f"{goes_by}. To build the change: `forebay build`",
            err=True,
        )


def shorten(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return "; ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
