"""`forebay compile`: dbt's manifest in, catalog.json, readable SQL and macros out."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from feature_specs.catalog import Catalog, ServiceEntry, TrainingSetEntry, ViewEntry
from feature_specs.compiler_version import COMPILER_VERSION
from feature_specs.errors import ForebayError, UnknownNameError, did_you_mean, raise_all
from feature_specs.manifest import DeclaredService, Manifest
from feature_specs.names import fold_name
from forebay.compile_cache import CompileCache, ViewParts
from forebay.compile_views import Leaves, Views
from forebay.copy_leaves import copy_leaves
from forebay.generate_macros import ServiceSql
from forebay.project import Project
from forebay.read_leaves import copied_relations, refuse_shared_tables
from forebay.read_manifest import read_manifest
from forebay.write_compiled import write_compiled
from lakehouse.lake import open_lake, table_names
from lakehouse.plans import DEFINITION
from lakehouse.write_text import write_if_changed

if TYPE_CHECKING:
    from feature_specs.compile import CompiledView

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Compiled:
    """All that a compilation made, before or after it is written."""

    catalog: Catalog
    parts: Mapping[str, ViewParts]
    services: Mapping[str, ServiceSql]
    compile: Callable[[str], CompiledView]
    cache: CompileCache

    def definition(self, name: str) -> str:
        """What a view is made of, and which services read it, as JSON."""
        services = {
            s.name: [feature for view, feature in s.features if view == name]
            for s in self.catalog.services.values()
        }
        read = {service: features for service, features in services.items() if features}
        return json.dumps(
            {**self.parts[name].definition, "project": self.catalog.project, "services": read}
        )

    def view(self, name: str) -> CompiledView:
        """One view in full; what the cache holds of it is not all that can be asked.

        Raises:
            UnknownNameError: there is no such view.
        """
        self.catalog.view(name)
        return self.compile(name)


def compile_project(
    project: Project,
    *,
    progress: Progress | None = None,
    write: bool = True,
    only: str | None = None,
    manifest: Manifest | None = None,
) -> Compiled:
    """Compile every view and service of a project.

    Nothing is written unless all of it compiles, but for rows of dbt nodes that stand as leaves and
    were never copied into Iceberg: these are, since nothing else tells their columns.

    Args:
        manifest: as it stands now, where somebody has just read it.
        only: the one view that is asked about: no other is compiled, no service is, and what is
            wrong with them does not matter. Nothing is written then.

    Raises:
        ForebayError: what cannot be compiled, all of it; or all that the setup lacks.
        UnknownNameError: no view is named ``only``.
    """
    project.require_setup()
    copy_macros(project)
    manifest = manifest or read_manifest(project)
    if write and only is None:
        known = set(table_names(open_lake(project.lake)))
        missing = [i for i in manifest.leaf_nodes() if manifest.iceberg_table(i) not in known]
        copy_leaves(project, manifest, missing)
    with _rare_collections():
        compiled = _compile(project, manifest, progress or _silent, only)
    if write and only is None:
        _write(project, compiled)
    return compiled


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for cycles a hundredth as often: it finds few among so many living trees."""
    before = gc.get_threshold()
    gc.set_threshold(70_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def copy_macros(project: Project) -> None:
    """Put the library's own macros beside the generated ones, so that both fit this version."""
    import lakehouse

    home = Path(lakehouse.__file__).parent / "macros"
    for path in sorted(home.glob("*.sql")):
        write_if_changed(project.folder / "macros" / path.name, path.read_text())


def _compile(
    project: Project, manifest: Manifest, progress: Progress, only: str | None
) -> Compiled:
    lake = open_lake(project.lake)
    names = manifest.view_ids()
    if only is not None:
        if only not in names.values():
            raise UnknownNameError(
                f"no feature view is named {only!r}",
                where=str(project.root),
                mend=did_you_mean(only, names.values()),
            )
        names = {i: name for i, name in names.items() if name == only}
    views = Views(project, manifest, Leaves(manifest, lake))
    entries: dict[str, ViewEntry] = {}
    wrong: list[ForebayError] = []
    for number, unique_id in enumerate(names, 1):
        try:
            entries[names[unique_id]] = views.entry(unique_id)
        except ForebayError as error:
            wrong.append(error)
        progress("compile", number, len(names))
    services = {} if only else _services(manifest, views, entries, names.values(), wrong)
    raise_all(wrong)
    tables = set(table_names(lake))
    catalog = Catalog(
        project=manifest.project,
        lake=project.lake,
        online=project.online,
        now=project.now,
        compiler=version("forebay"),
        compiler_version=COMPILER_VERSION,
        relations=_relations(manifest, tables) | copied_relations(manifest, views.leaves.found),
        leaves=views.leaves.entries({n for entry in entries.values() for n in entry.leaves}),
        views=entries,
        services={
            s.name: ServiceEntry(s.name, s.features, s.owner, s.description, s.file, sql.no_past)
            for s, sql in services.values()
        },
        training_sets=_training_sets(manifest),
    )
    refuse_shared_tables(manifest, catalog, views.leaves.found)
    made = {s.name: sql for s, sql in services.values()}
    return Compiled(catalog, views.parts, made, views.compile, views.cache)


def _services(
    manifest: Manifest,
    views: Views,
    entries: Mapping[str, ViewEntry],
    names: Iterable[str],
    wrong: list[ForebayError],
) -> dict[str, tuple[DeclaredService, ServiceSql]]:
    """Every service that reads no broken view, by unique id; what is wrong is added to ``wrong``."""
    features = {name: [f.name for f in entry.features] for name, entry in entries.items()}
    # What settles ties is seldom a feature: ids and sequence numbers.
    ties = {
        name: {fold_name(c) for c in views.declared[name].options.tie_break} for name in entries
    }
    broken = set(names) - set(features)
    out = {}
    for unique_id in manifest.service_ids():
        if broken & set(manifest.views_named_by(unique_id)):
            continue
        try:
            service = manifest.service(unique_id, features, ties)
            out[unique_id] = service, views.service(service)
        except ForebayError as error:
            wrong.append(error)
    return out


def _relations(manifest: Manifest, tables: set[str]) -> dict[str, str]:
    named = {
        node["relation_name"]: manifest.iceberg_table(i) for i, node in manifest.sources.items()
    }
    return {relation: table for relation, table in sorted(named.items()) if table in tables}


def _training_sets(manifest: Manifest) -> dict[str, TrainingSetEntry]:
    out = {}
    for unique_id, node in manifest.training_sets():
        service = _service_named_in(str(node.get("raw_code") or ""), str(node["name"]))
        table = f"{node['schema']}.{node['alias']}"
        out[str(node["name"])] = TrainingSetEntry(str(node["name"]), unique_id, service, table)
    return out


def _service_named_in(code: str, default: str) -> str:
    import re

    match = re.search(r"service\s*=\s*['\"]([^'\"]+)['\"]", code)
    return match[1] if match else default


def _write(project: Project, compiled: Compiled) -> None:
    plans = {
        name: {**parts.files, DEFINITION: compiled.definition(name)}
        for name, parts in compiled.parts.items()
    }
    write_compiled(project, compiled.catalog, plans, compiled.services)
    for name, parts in compiled.parts.items():
        compiled.cache.keep_view(name, parts)
    for name, service in compiled.services.items():
        if not service.no_past:
            compiled.cache.keep_service(name, service.template)


def _silent(label: str, done: int, total: int) -> None:
    """Say nothing of the progress."""
