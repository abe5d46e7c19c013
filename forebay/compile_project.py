"""`forebay compile`: dbt's manifest in, catalog.json, readable SQL and macros out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from feature_specs.catalog import (
    Catalog,
    Column,
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
from forebay.generate_macros import DISPATCHER, ServiceSql, generate_macros
from forebay.project import Project, manifest_of, write_if_changed
from lakehouse.describe import TypeOracle
from lakehouse.lake import load_table, open_lake, table_names
from lakehouse.plans import write_plan
from lakehouse.scan import column_types
from serving.read_time import compile_feature

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Compiled:
    """All that a compilation made, before or after it is written."""

    catalog: Catalog
    views: dict[str, CompiledView]
    services: dict[str, ServiceSql]


def compile_project(
    project: Project, *, progress: Progress | None = None, write: bool = True
) -> Compiled:
    """Compile every view and service of a project.

    Nothing is written unless all of it compiles.

    Raises:
        ForebayError: the first thing that cannot be compiled.
    """
    copy_macros(project)
    manifest = _read_manifest(project)
    compiled = _compile(project, manifest, progress or _silent)

    if write:
        _write(project, compiled)
    return compiled


def copy_macros(project: Project) -> None:
    """Put the library's own macros beside the generated ones, so that both fit this version."""
    import lakehouse

    home = Path(lakehouse.__file__).parent / "macros"
    for path in sorted(home.glob("*.sql")):
        write_if_changed(project.folder / "macros" / path.name, path.read_text())


def _read_manifest(project: Project) -> Manifest:
    parsed = project.dbt(["parse"], quiet=True).result
    plain = manifest_of(parsed.writable_manifest())
    views = [n for n in plain["nodes"].values() if n["config"]["materialized"] == "feature_view"]
    if views:
        project.dbt(
            ["compile", "--select", "+config.materialized:feature_view"],
            quiet=True,
            manifest=parsed,
        )
        plain = manifest_of(parsed.writable_manifest())
    return Manifest(plain, project.root, project.boundary)


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
    oracle = TypeOracle()
    views: dict[str, CompiledView] = {}
    entries: dict[str, ViewEntry] = {}
    for number, view in enumerate(declared, 1):
        compiled = compile_view(view.view, [leaves[i] for i in view.sources])
        entries[compiled.name] = _view_entry(view, compiled, oracle)
        views[compiled.name] = compiled
        progress("compile", number, len(declared))
    features = {v.name: [f.name for f in v.features] for v in views.values()}
    services = list(manifest.services(features))
    used = {leaf.name for v in views.values() for leaf in v.leaves}
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
    return Compiled(catalog, views, {s.name: _service_sql(s, declared, views) for s in services})


def _service_sql(
    service: DeclaredService, declared: list[DeclaredView], views: dict[str, CompiledView]
) -> ServiceSql:
    nodes = {d.view.name: d for d in declared}
    names = tuple(dict.fromkeys(view for view, _ in service.features))
    return ServiceSql(
        service.name,
        tuple(service.features),
        tuple(views[n] for n in names),
        tuple(
            (str(nodes[n].node["package_name"]), str(nodes[n].node["name"]),
             nodes[n].node.get("version"))
            for n in names
        ),
    )  # fmt: skip


def _view_entry(view: DeclaredView, compiled: CompiledView, oracle: TypeOracle) -> ViewEntry:
    stored, features = oracle.describe(compiled)
    draft, node = compiled.draft, view.node
    documented = {name.lower(): c for name, c in (node.get("columns") or {}).items()}
    table = f"{node['schema']}.{node['alias']}"
    entry = ViewEntry(
        name=compiled.name,
        unique_id=view.unique_id,
        file=str(node["original_file_path"]),
        semantic_hash=compiled.semantic_hash,
        entities=tuple(Column(k, stored[k]) for k in draft.view.entities),
        stored=tuple(Column(n, stored[n]) for n in draft.stored_names),
        features=tuple(
            Feature(
                f.name,
                features[f.name],
                str(documented.get(f.name, {}).get("description", "")),
                f.tree,
            )
            for f in compiled.features
        ),
        event_time=draft.view.event_time,
        ttl_us=_us(view.options.ttl),
        freshness_us=_us(view.options.freshness),
        on_stale=view.options.on_stale,
        table=table,
        history_table=f"{table}__history",
        leaves=tuple(leaf.name for leaf in compiled.leaves),
        lowering=compiled.choice.lowering,
        owner=view.options.owner,
        description=str(node.get("description", "")),
        requests=compiled.requests,
        taken_on_word=compiled.certificate.taken_on_word,
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
    for name, view in compiled.views.items():
        write_plan(folder, name, _statements(view), view.deltas())
    for name, service in compiled.services.items():
        write_if_changed(folder / "sql" / "duckdb" / "services" / f"{name}.sql", service.template)
    kept = {*compiled.views, "services"}
    for path in (folder / "sql" / "duckdb").glob("*"):
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path)
    if not (folder / "macros" / DISPATCHER).exists():
        # dbt's cache of a parse without the macro does not know who will call it.
        (project.root / "target" / "partial_parse.msgpack").unlink(missing_ok=True)
    for name, text in generate_macros(compiled.catalog, compiled.services).items():
        write_if_changed(folder / "macros" / name, text)
    write_if_changed(folder / "catalog.json", compiled.catalog.dumps())


def _statements(view: CompiledView) -> dict[str, str]:
    steps = view.stored_queries()
    out = {
        "point_in_time": view.point_in_time(),
        "as_of": view.as_of(),
        "create": steps.create,
        "step": steps.step,
        "features": view.features_over("forebay_stored"),
    }
    if steps.touched is not None:
        out["touched"] = steps.touched
    return out


def _us(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(microseconds=1)


def _silent(label: str, done: int, total: int) -> None:
    """Say nothing of the progress."""
