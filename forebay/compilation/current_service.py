"""One service, compiled as the project stands now, for code that recomputes its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from feature_specs.manifest import Manifest, is_feature_view
from forebay.dbt_project.project import Project
from forebay.dbt_project.project_changes import changes_of
from forebay.dbt_project.read_manifest import read_manifest

if TYPE_CHECKING:
    from forebay.compilation.compile_project import Compiled


@dataclass(frozen=True)
class CompiledService:
    """A service's statement, and the catalog that says what it reads.

    Attributes:
        template: SQL with names in place of its spine, timestamp and lag; empty where its views
            have no past, as the catalog says.
        compile: compiles its views in full, which takes a while.
        changed: what is other than when `forebay compile` wrote it; mostly nothing.
    """

    service: str
    catalog: Catalog
    template: str
    compile: Callable[[], Compiled]
    changed: tuple[str, ...] = ()

    def template_for(self, engine: str) -> str:
        """The template with lowerings that an engine can run, still in DuckDB's SQL.

        Raises:
            CompileError: it can run none of some view.
        """
        from forebay.compilation.compile_parts import service_template

        features = self.catalog.service(self.service).features
        compiled = self.compile()
        names = dict.fromkeys(view for view, _ in features)
        views = [compiled.view(n).for_engine(engine) for n in names]
        return service_template(features, views, aliases=self.catalog.aliases_in(features))


def current_service(project: Project, service: str) -> CompiledService:
    """A service as its project's files have it now.

    What was compiled last is taken where nothing has changed; else the service and its views are
    compiled anew, and nothing is written.

    Raises:
        ForebayError: there is no such service, or it cannot be compiled.
    """
    catalog = project.catalog()
    manifest = read_manifest(project)
    ids = {str(manifest.exposures[i]["name"]): i for i in manifest.service_ids()}
    if service not in ids:
        lost = catalog.service(service)
        raise ForebayError(
            f"feature service {service!r} is not declared any more",
            where=lost.file,
            hint="run `forebay compile`, or declare it again as an exposure of type ml",
        )
    unique_id = ids[service]
    named = set(manifest.views_named_by(unique_id))
    views = [i for i, name in manifest.view_ids().items() if name in named]
    changed = changes_of(manifest, catalog, [unique_id, *views])

    def compile_it() -> Compiled:
        from forebay.compilation.compile_project import compile_project

        alone = _restrict(manifest, unique_id, views)
        return compile_project(project, write=False, manifest=alone)

    if not changed:
        no_past = catalog.service(service).no_past
        template = "" if no_past else _template(project, service)
        return CompiledService(service, catalog, template, compile_it)
    made = compile_it()
    template = made.services[service].template
    return CompiledService(service, made.catalog, template, lambda: made, tuple(changed))


def _template(project: Project, service: str) -> str:
    path = project.folder / "sql" / "duckdb" / "services" / f"{service}.sql"
    if not path.exists():
        raise ForebayError("compiled SQL is missing", where=str(path), hint="run `forebay compile`")
    return path.read_text()


def _restrict(manifest: Manifest, service: str, views: list[str]) -> Manifest:
    """The manifest without the services and feature views that one service does not read."""
    wanted, todo = set(views), list(views)
    while todo:
        read = set(manifest.nodes[todo.pop()]["depends_on"].get("nodes", ()))
        fresh = {i for i in read if i in manifest.nodes} - wanted
        wanted |= fresh
        todo += fresh
    nodes = {i: n for i, n in manifest.nodes.items() if i in wanted or not is_feature_view(n)}
    raw = {
        "metadata": {"project_name": manifest.project},
        "nodes": nodes,
        "sources": manifest.sources,
        "exposures": {service: manifest.exposures[service]},
        "definitions": manifest.definitions,
    }
    return Manifest(raw, manifest.root, manifest.boundary, manifest.failed)
