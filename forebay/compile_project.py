"""`forebay compile`: dbt's manifest in, catalog.json, readable SQL and macros out."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from feature_specs.catalog import (
    Catalog,
    Feature,
    LeafEntry,
    ServiceEntry,
    TrainingSetEntry,
    ViewEntry,
)
from feature_specs.compile import CompiledView, compile_view
from feature_specs.errors import UnknownNameError, did_you_mean
from feature_specs.leaf import Leaf
from feature_specs.manifest import DeclaredService, DeclaredView, Manifest
from forebay.compile_cache import CompileCache, ViewParts, parts_of
from forebay.generate_macros import DISPATCHER, ServiceSql, generate_macros, service_template
from forebay.project import Project, manifest_of, write_if_changed
from lakehouse.describe import TypeOracle
from lakehouse.duckdb_types import column_types
from lakehouse.lake import load_table, open_lake, table_names
from lakehouse.plans import write_plan
from serving.read_time import compile_feature

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Compiled:
    """All that a compilation made, before or after it is written."""

    catalog: Catalog
    parts: Mapping[str, ViewParts]
    services: Mapping[str, ServiceSql]
    compile: Callable[[str], CompiledView]
    cache: CompileCache

    def view(self, name: str) -> CompiledView:
        """One view in full; what the cache holds of it is not all that can be asked.

        Raises:
            UnknownNameError: there is no such view.
        """
        self.catalog.view(name)
        return self.compile(name)


def compile_project(
    project: Project, *, progress: Progress | None = None, write: bool = True
) -> Compiled:
    """Compile every view and service of a project.

    Nothing is written unless all of it compiles.

    Raises:
        ForebayError: the first thing that cannot be compiled, or all that the setup lacks.
    """
    project.require_setup()
    copy_macros(project)
    manifest = _read_manifest(project)
    with _rare_collections():
        compiled = _compile(project, manifest, progress or _silent)
    if write:
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


def _read_manifest(project: Project) -> Manifest:
    parsed = project.dbt(["parse"], quiet=True).result
    before = _stamp(project.manifest_path)
    if any(n.config.get("materialized") == "feature_view" for n in parsed.nodes.values()):
        project.dbt(
            ["compile", "--select", "+config.materialized:feature_view"],
            quiet=True,
            manifest=parsed,
        )
    if _stamp(project.manifest_path) != before:
        # dbt has just written what it knows; to make plain data of its objects again is slow.
        plain = json.loads(project.manifest_path.read_text())
    else:
        plain = manifest_of(parsed.writable_manifest())
    return Manifest(plain, project.root, project.boundary)


def _stamp(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _compile(project: Project, manifest: Manifest, progress: Progress) -> Compiled:
    lake = open_lake(project.lake)
    declared = list(manifest.views())
    leaves: dict[str, Leaf] = {}
    tables: dict[str, dict[str, str]] = {}
    for unique_id in sorted({i for view in declared for i in view.sources}):
        name = manifest.iceberg_table(unique_id)
        if name not in tables:
            try:
                tables[name] = column_types(load_table(lake, name).schema())
            except UnknownNameError:
                source = manifest.sources[unique_id]
                raise UnknownNameError(
                    f"source {source['source_name']}.{source['name']} has no Iceberg table {name!r}",
                    where=source["original_file_path"],
                    mend="load it with `forebay ingest`; " + did_you_mean(name, table_names(lake)),
                ) from None
        leaves[unique_id] = manifest.leaf(unique_id, tables[name])
    views = _Views(project, {d.view.name: d for d in declared}, leaves)
    parts = views.parts(progress)
    entries = {name: _view_entry(views.declared[name], found) for name, found in parts.items()}
    features = {name: [f.name for f in entry.features] for name, entry in entries.items()}
    services = list(manifest.services(features))
    used = {name for entry in entries.values() for name in entry.leaves}
    catalog = Catalog(
        project=manifest.project,
        lake=project.lake,
        online=project.online,
        now=project.now,
        compiler=version("forebay"),
        relations=_relations(manifest, set(table_names(lake))),
        leaves={
            leaf.name: LeafEntry(
                leaf.name, leaf.name, manifest.iceberg_table(i), str(leaf.role), leaf.written
            )
            for i, leaf in leaves.items()
            if leaf.name in used
        },
        views=entries,
        services={
            s.name: ServiceEntry(s.name, s.features, s.owner, s.description, s.file)
            for s in services
        },
        training_sets=_training_sets(manifest),
    )
    made = {s.name: views.service(s) for s in services}
    return Compiled(catalog, parts, made, views.compile, views.cache)


class _Views:
    """The project's views, each compiled when nothing is kept of it, and then once."""

    def __init__(
        self, project: Project, declared: dict[str, DeclaredView], leaves: dict[str, Leaf]
    ) -> None:
        self.declared, self.leaves = declared, leaves
        self.cache = CompileCache(project.folder)
        self.compiled: dict[str, CompiledView] = {}
        self.keys = {
            name: self.cache.view_key(d.view, self._leaves(d)) for name, d in declared.items()
        }

    def _leaves(self, declared: DeclaredView) -> list[Leaf]:
        return [self.leaves[i] for i in declared.sources]

    def compile(self, name: str) -> CompiledView:
        if name not in self.compiled:
            declared = self.declared[name]
            self.compiled[name] = compile_view(declared.view, self._leaves(declared))
        return self.compiled[name]

    def parts(self, progress: Progress) -> dict[str, ViewParts]:
        oracle = TypeOracle()
        out = {}
        for number, name in enumerate(self.declared, 1):
            kept = self.cache.view(name, self.keys[name])
            out[name] = kept or parts_of(self.compile(name), oracle)
            progress("compile", number, len(self.declared))
        return out

    def service(self, service: DeclaredService) -> ServiceSql:
        names = tuple(dict.fromkeys(view for view, _ in service.features))
        key = self.cache.service_key(service.features, (self.keys[n] for n in names))
        template = self.cache.service(service.name, key)
        if template is None:
            template = service_template(service.features, [self.compile(n) for n in names])
        nodes = [self.declared[n].node for n in names]
        models = [(str(n["package_name"]), str(n["name"]), n.get("version")) for n in nodes]
        return ServiceSql(service.name, template, tuple(models))


def _view_entry(view: DeclaredView, parts: ViewParts) -> ViewEntry:
    node = view.node
    documented = {name.lower(): c for name, c in (node.get("columns") or {}).items()}
    table = f"{node['schema']}.{node['alias']}"
    entry = ViewEntry(
        name=view.view.name,
        unique_id=view.unique_id,
        file=str(node["original_file_path"]),
        semantic_hash=parts.semantic_hash,
        entities=parts.entities,
        stored=parts.stored,
        features=tuple(
            Feature(name, kind, str(documented.get(name, {}).get("description", "")), tree)
            for name, kind, tree in parts.features
        ),
        event_time=view.view.event_time.lower() if view.view.event_time else None,
        ttl_us=_us(view.options.ttl),
        freshness_us=_us(view.options.freshness),
        on_stale=view.options.on_stale,
        table=table,
        history_table=f"{table}__history",
        leaves=parts.leaves,
        lowering=parts.lowering,
        owner=view.options.owner,
        description=str(node.get("description", "")),
        requests=parts.requests,
        taken_on_word=parts.taken_on_word,
    )
    for feature in entry.features:
        if feature.expression is not None:
            compile_feature(entry, feature)  # what the lookup API could not read is refused now
    return entry


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
    folder = project.folder
    cache = compiled.cache
    for name, parts in compiled.parts.items():
        write_plan(folder, name, parts.files)
        cache.keep_view(name, parts)
    for name, service in compiled.services.items():
        write_if_changed(folder / "sql" / "duckdb" / "services" / f"{name}.sql", service.template)
        cache.keep_service(name, service.template)
    kept = {*compiled.parts, "services"}
    for path in (folder / "sql" / "duckdb").glob("*"):
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
    if not (folder / "macros" / DISPATCHER).exists():
        # dbt's cache of a parse without the macro does not know who will call it.
        (project.root / "target" / "partial_parse.msgpack").unlink(missing_ok=True)
    for name, text in generate_macros(compiled.catalog, compiled.services).items():
        write_if_changed(folder / "macros" / name, text)
    write_if_changed(folder / "catalog.json", compiled.catalog.dumps())


def _us(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(microseconds=1)


def _silent(label: str, done: int, total: int) -> None:
    """Say nothing of the progress."""
