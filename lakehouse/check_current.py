"""Refuse to build from stale compiled SQL: the project's files have changed since."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from feature_specs.catalog import Catalog
from feature_specs.errors import ForebayError
from lakehouse.dbt_definitions import Definition, define, services_of

#: What a build of dbt's own, of something that is not compiled as dbt has it, lacks.
RECOMPILE = "run `forebay build`, which compiles first, or `forebay compile` and then dbt again"

#: Unique id to definition.
Definitions: TypeAlias = Mapping[str, Definition]


def check_view(catalog: Catalog, unique_id: str) -> None:
    """Check that a feature view's compiled SQL matches the dbt run in this process.

    Raises:
        ForebayError: it, or something that it reads, has changed since, or was never compiled.
    """
    manifest = _manifest()
    changed = _changes(catalog, manifest, [unique_id])
    if changed:
        node = manifest.nodes[unique_id]
        raise ForebayError(
            f"feature view {node.name!r} has changed since it was compiled: {'; '.join(changed)}",
            where=node.original_file_path,
            hint=RECOMPILE,
        )


def check_services(catalog: Catalog, unique_id: str, services: Iterable[str]) -> None:
    """The same check for all that a training set's services read.

    Raises:
        ForebayError: as `check_view`; or there is no such service any more.
    """
    manifest = _manifest()
    where = manifest.nodes[unique_id].original_file_path
    declared = {name: i for i, name in services_of(manifest).items()}
    views = {name: view.unique_id for name, view in catalog.views.items()}
    for name in services:
        if name not in declared:
            raise ForebayError(
                f"feature service {name!r} is not declared any more", where=where, hint=RECOMPILE
            )
        listed = catalog.service(name).features
        wanted = [declared[name], *dict.fromkeys(views[catalog.view_behind(v)] for v, _ in listed)]
        present = [i for i in wanted if i in manifest.nodes or i in manifest.exposures]
        changed = _changes(catalog, manifest, present)
        changed += [f"{i} is gone" for i in wanted if i not in present]
        if changed:
            raise ForebayError(
                f"feature service {name!r} has changed since it was compiled: "
                + "; ".join(changed),
                where=where,
                hint=RECOMPILE,
            )


def _adapter() -> Any:
    """dbt's own, of the run in this process."""
    from dbt.adapters.factory import get_adapter_by_type

    return get_adapter_by_type("duckdb")  # type: ignore[no-untyped-call]


def _manifest() -> Any:
    return _adapter().get_macro_resolver()


def _changes(catalog: Catalog, manifest: Any, unique_ids: Sequence[str]) -> list[str]:
    now = define(manifest, unique_ids, lambda node: _compiled_code(manifest, node))
    return differences(
        catalog.compiled_from, now, {i: _files(manifest, i) for i in now}, unique_ids
    )


def _compiled_code(manifest: Any, node: Any) -> str:
    """The SQL as this run rendered it, or would render it if the run does not select it."""
    if node.compiled and node.compiled_code is not None:
        return str(node.compiled_code)
    from dbt.compilation import Compiler

    compiler = Compiler(_adapter().config)
    # A copy: dbt itself shows in its results what this run has compiled.
    return str(compiler.compile_node(copy.deepcopy(node), manifest, {}, write=False).compiled_code)


def _files(manifest: Any, unique_id: str) -> tuple[str, str]:
    """The files of a node's SQL and of its YAML."""
    kinds = (manifest.nodes, manifest.sources, manifest.exposures)
    node = next(found[unique_id] for found in kinds if unique_id in found)
    patch = str(getattr(node, "patch_path", None) or node.original_file_path)
    return str(node.original_file_path), patch.partition("://")[2] or patch


def differences(
    before: Definitions,
    now: Definitions,
    files: Mapping[str, tuple[str, str]],
    views: Iterable[str],
) -> list[str]:
    """What has changed, for people: a file each, or what of it renders differently.

    Args:
        files: of each of ``now``, the file of its text and the one that declares the rest of it.
        views: those whose own YAML counts; that of a view which is only inlined does not.
    """
    out: dict[str, None] = {}
    for unique_id, definition in now.items():
        old = before.get(unique_id)
        text, yaml = files[unique_id]
        name = unique_id.split(".", 2)[2]
        if old is None:
            out[f"{text} is new"] = None
            continue
        declared = "sql" not in definition or unique_id in views
        same_yaml = not declared or old["yaml"] == definition["yaml"]
        if old.get("sql") == definition.get("sql") and same_yaml:
            continue
        if old.get("text") != definition.get("text"):
            out[text] = None
        elif same_yaml:
            out[f"{text}, by a macro, a variable or another target"] = None
        else:
            out[f"{yaml}, in what it declares of {name}"] = None
    return list(out)
