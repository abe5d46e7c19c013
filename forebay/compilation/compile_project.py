"""`forebay compile`: dbt's manifest in, catalog.json, readable SQL and macros out."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from feature_specs.access import PRIVATE, ViewAccess
from feature_specs.catalog import Catalog, LeftOut, Role, ServiceEntry, TrainingSetEntry, ViewEntry
from feature_specs.catalogue_facts import FACTS
from feature_specs.compiler_version import COMPILER_VERSION
from feature_specs.errors import ForebayError, SpecError, UnknownNameError, did_you_mean, raise_all
from feature_specs.manifest import DeclaredService, Manifest
from feature_specs.names import fold_name
from feature_specs.progress import Progress
from feature_specs.read_access import group_names, read_access
from forebay.compilation.compile_cache import CompileCache, ViewParts
from forebay.compilation.compile_views import Leaves, Views
from forebay.compilation.copy_leaves import copy_leaves
from forebay.compilation.gather_facts import gather_facts
from forebay.compilation.generate_macros import ServiceSql
from forebay.compilation.lineage_of import lineage_of, readers_of
from forebay.compilation.read_leaves import copied_relations, refuse_shared_tables
from forebay.compilation.refuse_one_name import refuse_one_name
from forebay.compilation.stream_sources import create_tables, declared_streams, keep_streams
from forebay.compilation.write_compiled import write_compiled
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_manifest import read_manifest
from lakehouse.lake import open_lake, table_names
from lakehouse.plans import DEFINITION
from lakehouse.write_text import write_if_changed
from lineage.project_lineage import FILE as LINEAGE
from lineage.project_lineage import ProjectLineage

if TYPE_CHECKING:
    from feature_specs.compile import CompiledView


@dataclass(frozen=True)
class Compiled:
    """All that a compilation made, before or after it is written."""

    manifest: Manifest
    catalog: Catalog
    parts: Mapping[str, ViewParts]
    services: Mapping[str, ServiceSql]
    compile: Callable[[str], CompiledView]
    cache: CompileCache

    def definition(self, name: str) -> str:
        """What a view is made of, and which services read it, as JSON."""
        told = readers_of(self.catalog, name)
        return json.dumps({**self.parts[name].definition, **told})

    @cached_property
    def lineage(self) -> ProjectLineage:
        """From columns of tables to those who read features."""
        return lineage_of(self.manifest, self.catalog, self.parts)

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
    keep_going: bool = False,
    refused: Mapping[str, ForebayError] | None = None,
) -> Compiled:
    """Compile every view and service of a project.

    Nothing is written unless all of it compiles, but for rows of dbt nodes that stand as leaves and
    were never copied into Iceberg: these are, since nothing else tells their columns.

    Args:
        manifest: as it stands now, where somebody has just read it.
        only: the one view that is asked about: no other is compiled, no service is, and what is
            wrong with them does not matter. Nothing is written then.
        keep_going: where a leaf's table cannot be read, compile for the columns that it had last;
            what reads one of which none are known is left out (``Catalog.left_out``).
        refused: by unique id, leaves that could not be copied, which are not tried again.

    Raises:
        ForebayError: what cannot be compiled, all of it; or all that the setup lacks.
        UnknownNameError: no view is named ``only``.
    """
    project.check_setup()
    copy_macros(project)
    manifest = manifest or read_manifest(project)
    faults = dict(refused or {})
    if write and only is None:
        streams = declared_streams(manifest)
        create_tables(open_lake(project.lake), manifest, streams)
        keep_streams(project, streams)
        known = set(table_names(open_lake(project.lake)))
        missing = [i for i in manifest.leaf_nodes() if manifest.iceberg_table(i) not in known]
        new = copy_leaves(project, manifest, [i for i in missing if i not in faults])
        if not keep_going:
            raise_all(new.values())
        faults |= new
    with _rare_collections():
        compiled = _compile(project, manifest, progress or _silent, only, faults, keep_going)
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
    project: Project,
    manifest: Manifest,
    progress: Progress,
    only: str | None,
    faults: Mapping[str, ForebayError],
    keep_going: bool,
) -> Compiled:
    lake = open_lake(project.lake)
    before = _compiled_before(project)
    last = {leaf.table: leaf.columns for leaf in before.leaves.values()} if keep_going else {}
    names = _chosen(manifest, only)
    views = Views(project, manifest, Leaves(manifest, lake, last, faults))
    entries: dict[str, ViewEntry] = {}
    wrong: list[ForebayError] = []
    left_out: dict[str, LeftOut] = {}
    for number, unique_id in enumerate(names, 1):
        try:
            entries[names[unique_id]] = views.entry(unique_id)
        except ForebayError as error:
            fault = views.fault(names[unique_id]) if keep_going else None
            if fault is None:
                wrong.append(error)
            else:
                left_out[unique_id] = _left_out(names[unique_id], fault)
        progress("compile", number, len(names))
    services = {} if only else _services(manifest, views, entries, names.values(), wrong)
    raise_all(wrong)
    left_out |= _services_left_out(manifest, left_out)
    roles = _roles([service for service, _ in services.values()], entries)
    catalog = Catalog(
        project=manifest.project,
        root=str(project.root),
        lake=project.lake,
        online=project.online,
        now=project.now,
        compiler=version("forebay"),
        compiler_version=COMPILER_VERSION,
        relations=_relations(manifest, set(table_names(lake)), before)
        | copied_relations(manifest, views.leaves.found),
        leaves=views.leaves.entries({n for entry in entries.values() for n in entry.leaves}),
        views=entries,
        services={
            s.name: ServiceEntry(s.name, s.features, s.owner, s.description, s.file, sql.no_past)
            for s, sql in services.values()
        },
        training_sets=_training_sets(manifest),
        compiled_from=manifest.definitions,
        left_out=left_out,
        access=_access(manifest, roles),
        roles=roles,
        groups=group_names(manifest.groups),
        retention=views.retention,
    )
    refuse_shared_tables(manifest, catalog, views.leaves.found)
    made = {s.name: sql for s, sql in services.values()}
    for unique_id, out in left_out.items():
        if unique_id in manifest.exposures:
            made[out.name] = ServiceSql(out.name, "", (), str(out.problem()))
    return Compiled(manifest, catalog, views.parts, made, views.compile, views.cache)


def _roles(services: Iterable[DeclaredService], views: Mapping[str, ViewEntry]) -> dict[str, Role]:
    """Every role that a service reads a view in.

    Raises:
        SpecError: two services say one role in two ways, or its keys are other columns of the view.
    """
    roles: dict[str, Role] = {}
    for service in services:
        for name, role in service.roles.items():
            if roles.setdefault(name, role) != role:
                raise SpecError(
                    f"role {name!r} is another one in another service",
                    where=service.file,
                    hint="name one of them otherwise",
                )
            taken = {fold_name(c.name) for c in views[role.view].stored}
            taken |= {fold_name(f.name) for f in views[role.view].names}
            lost = next((key for key in role.keys.values() if fold_name(key) in taken), None)
            if lost is not None:
                raise SpecError(
                    f"key {lost!r} of role {name!r} is a column of feature view {role.view!r}",
                    where=service.file,
                    hint="name the key otherwise",
                )
    return roles


def _access(manifest: Manifest, roles: Mapping[str, Role]) -> dict[str, ViewAccess]:
    """Who may read each view; a role is its view's."""
    nodes = {name: manifest.nodes[i] for i, name in manifest.view_ids().items()}
    access = read_access(nodes, manifest.groups)
    return {**access, **{name: access[role.view] for name, role in roles.items()}}


def _chosen(manifest: Manifest, only: str | None) -> dict[str, str]:
    """Unique id to name of the views to compile. Raises UnknownNameError if there is none."""
    names = manifest.view_ids()
    refuse_one_name(names)
    if only is None:
        return names
    if only not in names.values():
        raise UnknownNameError(
            f"no feature view is named {only!r}",
            where="VIEW",
            hint=did_you_mean(only, names.values()),
        )
    return {i: name for i, name in names.items() if name == only}


def _services(
    manifest: Manifest,
    views: Views,
    entries: Mapping[str, ViewEntry],
    names: Iterable[str],
    wrong: list[ForebayError],
) -> dict[str, tuple[DeclaredService, ServiceSql]]:
    """Every service that reads no broken view, by unique id; what is wrong is added to ``wrong``."""
    features = {name: [f.name for f in entry.names] for name, entry in entries.items()}
    # What settles ties is seldom a feature: ids and sequence numbers. An alias is one already.
    ties = {
        name: {fold_name(c) for c in views.declared[name].options.tie_break}
        | {fold_name(f.name) for f in entry.aliases}
        for name, entry in entries.items()
    }
    broken = set(names) - set(features)
    out = {}
    for unique_id in manifest.service_ids():
        if broken & set(manifest.views_named_by(unique_id)):
            continue
        try:
            service = manifest.service(unique_id, features, ties)
            _refuse_private(manifest, unique_id, service)
            out[unique_id] = service, views.service(service)
        except ForebayError as error:
            wrong.append(error)
    return out


def _refuse_private(manifest: Manifest, unique_id: str, service: DeclaredService) -> None:
    """dbt refuses a service that reads a private view, but not where it parses the view's file alone.

    Raises:
        SpecError: the service reads one.
    """
    ids = {name: i for i, name in manifest.view_ids().items()}
    for name in manifest.views_named_by(unique_id):
        node = manifest.nodes[ids[name]] if name in ids else {}
        if node.get("access") == PRIVATE:
            raise SpecError(
                f"feature service {service.name!r} reads feature view {name!r}, which is private to "
                f"the group {node.get('group')!r}",
                where=service.file,
                hint="take it out of the service, or set the view's access to protected",
            )


def show_sources(project: Project, manifest: Manifest) -> None:
    """Let dbt read each source that has an Iceberg table, before the views over it are compiled.

    What else the catalog holds stays; one without views is written where nothing is compiled yet.
    """
    before = _compiled_before(project)
    named = _relations(manifest, set(table_names(open_lake(project.lake))), before)
    catalog = replace(
        before,
        project=manifest.project,
        root=str(project.root),
        lake=project.lake,
        online=project.online,
        relations={**before.relations, **named},
    )
    write_if_changed(project.catalog_path, catalog.dumps())


def _compiled_before(project: Project) -> Catalog:
    """What was compiled last; an empty catalog where nothing was, or by another version."""
    try:
        return project.catalog()
    except ForebayError:
        return Catalog("", {}, "")


def _left_out(name: str, fault: ForebayError) -> LeftOut:
    return LeftOut(name, fault.what, str(fault.where), fault.hint)


def _services_left_out(manifest: Manifest, views: Mapping[str, LeftOut]) -> dict[str, LeftOut]:
    """The services that read a view which was left out, for its reason."""
    reasons = {out.name: out for out in views.values()}
    out = {}
    for unique_id in manifest.service_ids() if views else ():
        lost = [name for name in manifest.views_named_by(unique_id) if name in reasons]
        if lost:
            out[unique_id] = replace(
                reasons[lost[0]], name=str(manifest.exposures[unique_id]["name"])
            )
    return out


def _relations(manifest: Manifest, tables: set[str], before: Catalog) -> dict[str, str]:
    """Sources to their Iceberg tables, those included that had one and have it no more."""
    named = {
        node["relation_name"]: manifest.iceberg_table(i) for i, node in manifest.sources.items()
    }
    return {
        relation: table
        for relation, table in sorted(named.items())
        if table in tables or before.relations.get(relation) == table
    }


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
    beside = {
        LINEAGE: compiled.lineage.dumps(),
        FACTS: gather_facts(compiled.manifest, compiled.catalog, compiled.parts).dumps(),
    }
    write_compiled(project, compiled.catalog, plans, compiled.services, beside)
    for name, parts in compiled.parts.items():
        compiled.cache.keep_view(name, parts)
    for name, service in compiled.services.items():
        if not service.no_past:
            compiled.cache.keep_service(name, service.template)


def _silent(label: str, done: int, total: int) -> None:
    """Say nothing of the progress."""
