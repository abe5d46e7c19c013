"""The first half of a build: all that reads no feature view, and its rows into Iceberg.

The second half compiles against the columns that these tables then have, and takes its clock after
them, so that a snapshot made by a build counts in that build.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from feature_specs.errors import ForebayError
from feature_specs.manifest import Manifest
from forebay.compilation.compile_project import copy_macros, show_sources
from forebay.compilation.copy_leaves import copy_leaves
from forebay.compilation.generate_macros import COMPILED
from forebay.dbt_project.dbt_errors import DbtError
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_manifest import read_manifest

#: dbt's selector of the feature views and of all that reads one.
FEATURE_VIEWS = "config.materialized:feature_view"
BEHIND_VIEWS = f"{FEATURE_VIEWS}+"

_FAILED = ("error", "fail", "runtime error", "partial success")


@dataclass(frozen=True)
class Upstream:
    """How the first half went.

    Attributes:
        manifest: what dbt knows of the project; None where it may have changed meanwhile.
        separate: whether there was a first half: dbt nodes stand as leaves.
        failures: what went wrong with some nodes; others were built.
        refused: by unique id, why a leaf's rows did not come into Iceberg.
        held_back: dbt selectors of what reads a node that failed.
        views: names of the feature views among them.
    """

    manifest: Manifest | None
    separate: bool = False
    failures: tuple[ForebayError, ...] = ()
    refused: Mapping[str, ForebayError] = field(default_factory=dict)
    held_back: tuple[str, ...] = ()
    views: tuple[str, ...] = ()

    def selection(self, select: Sequence[str]) -> list[str]:
        """dbt's words that select what is left to build, of what the user selected."""
        if not self.separate:
            return ["--select", *select] if select else []
        words = [word for part in select for word in part.split()]
        left = [f"{word},{BEHIND_VIEWS}" for word in words] or [BEHIND_VIEWS]
        return ["--select", *left, *(["--exclude", *self.held_back] if self.held_back else [])]


def build_leaves(
    project: Project, *, select: Sequence[str], full_refresh: bool, quiet: bool
) -> Upstream:
    """Build what reads no feature view, and copy the seeds, snapshots and models among the leaves.

    A project whose views read sources alone is left for one run of dbt.

    Args:
        select: dbt's selectors, one each; all where there is none.

    Raises:
        ForebayError: dbt could not begin.
    """
    copy_macros(project)
    _let_dbt_run(project)
    manifest = read_manifest(project)
    leaves = manifest.leaf_nodes()
    if not leaves:
        return Upstream(manifest)
    show_sources(project, manifest)  # which models among and before the leaves may read
    words = ["build", *(["--full-refresh"] if full_refresh else [])]
    words += ["--select", *select] if select else []
    failure: DbtError | None = None
    try:
        project.dbt([*words, "--exclude", BEHIND_VIEWS], quiet=quiet)
    except DbtError as error:
        if not error.results:
            raise
        failure = error
    failed = _without_rows(failure.results if failure else ())
    refused = copy_leaves(project, manifest, [i for i in leaves if i not in failed])
    failed.update(refused)
    return Upstream(
        None,  # Jinja may ask the database, where other tables stand now
        True,
        (*(failure.errors if failure else ()), *refused.values()),
        refused,
        tuple(_selectors(manifest, failed)),
        tuple(_views_behind(manifest, failed)),
    )


def _let_dbt_run(project: Project) -> None:
    """The project's on-run-start stops dbt where nothing is compiled, which comes later here."""
    path = project.folder / "macros" / COMPILED
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{% macro forebay_compiled() %}{% endmacro %}\n")


def _without_rows(results: Iterable[Any]) -> set[str]:
    """Ids of nodes that were not built, or failed a test: what reads them is not to be built."""
    out: set[str] = set()
    for result in results:
        node, status = result.node, str(result.status)
        if node.resource_type in ("test", "unit_test"):
            out.update(node.depends_on.nodes if status in _FAILED else ())
        elif status in (*_FAILED, "skipped"):
            out.add(node.unique_id)
    return out


def _views_behind(manifest: Manifest, failed: Collection[str]) -> list[str]:
    """Names of the feature views that read one of some nodes, by whatever way."""
    behind = set(failed)
    grown = True
    while grown:
        found = {
            i
            for i, node in manifest.nodes.items()
            if behind.intersection(node["depends_on"].get("nodes", ()))
        }
        grown = not found <= behind
        behind |= found
    return [name for unique_id, name in manifest.view_ids().items() if unique_id in behind]


def _selectors(manifest: Manifest, failed: Iterable[str]) -> list[str]:
    out = []
    for unique_id in sorted(failed):
        if unique_id in manifest.sources:
            source = manifest.sources[unique_id]
            path = [source["package_name"], source["source_name"], source["name"]]
            out.append(f"source:{'.'.join(path)}+")
        elif unique_id in manifest.nodes:
            out.append(f"fqn:{'.'.join(manifest.nodes[unique_id]['fqn'])}+")
    return out
