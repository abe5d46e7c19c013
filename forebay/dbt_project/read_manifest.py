"""dbt's manifest of a project, kept on disk for as long as nothing that decides it has changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from feature_specs.errors import ForebayError
from feature_specs.manifest import Manifest
from feature_specs.volatile_jinja import VOLATILE, jinja_parts
from forebay.dbt_project.dbt_errors import DbtError
from forebay.dbt_project.fingerprint_project import Fingerprint, fingerprint_project
from forebay.dbt_project.project import Project
from lakehouse.dbt_definitions import define, is_leaf, macros_under, services_of, upstream
from lakehouse.write_text import write_if_changed

#: Raised when other things are kept.
_FORMAT = 3
#: What the compiler reads of; tests and hooks are many and are dbt's own business.
_KINDS = ("model", "seed", "snapshot")


def read_manifest(project: Project) -> Manifest:
    """The manifest, with compiled code for feature views and all that they read.

    dbt runs only where a file, variable or version that it depends on is another than last time.
    It opens no connection, unless the Jinja of a feature view asks the database something.

    Raises:
        ForebayError: dbt cannot parse the project.
    """
    before = fingerprint_project(project)
    kept = kept_manifest(project)
    if before is not None and before.volatile is None and kept.get("key") == before.key:
        return Manifest(kept["manifest"], project.root, project.boundary)
    # dbt's partial parse forgets the YAML of a model whose file went away and came back.
    same_files = before is not None and kept.get("paths") == before.paths
    answer = ask_dbt(project, same_files)
    if before is not None:
        _keep(project, before, answer)
    return Manifest(answer.manifest, project.root, project.boundary, answer.failed)


@dataclass(frozen=True)
class Answer:
    """What dbt says of a project.

    Attributes:
        manifest: as plain data.
        steady: whether dbt would say the same again, as long as no file has changed.
        failed: the nodes that dbt cannot compile.
    """

    manifest: dict[str, Any]
    steady: bool
    failed: Mapping[str, ForebayError]


def kept_manifest(project: Project) -> dict[str, Any]:
    """What was kept, empty where nothing was: ``manifest`` with its ``key``, where dbt would say it
    again; ``paths`` and ``files``, of the fingerprint at that time."""
    try:
        kept = json.loads((project.folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return {}  # never written, or spoilt
    return kept if isinstance(kept, dict) and kept.get("format") == _FORMAT else {}


def _keep(project: Project, before: Fingerprint, answer: Answer) -> None:
    if fingerprint_project(project) != before:
        return  # a file changed while dbt was reading
    kept: dict[str, Any] = {"format": _FORMAT, "paths": before.paths, "files": before.files}
    if answer.steady and not answer.failed and before.volatile is None:
        kept |= {"key": before.key, "manifest": answer.manifest}
    text = json.dumps(kept, default=str)
    write_if_changed(project.folder / "manifest.json", text)


def ask_dbt(project: Project, same_files: bool) -> Answer:
    """Let dbt parse the project, and compile its feature views and all that they read.

    Args:
        same_files: whether dbt may start from its last parse.

    Raises:
        ForebayError: dbt cannot parse the project.
    """
    words = ["parse", "--no-write-json", *([] if same_files else ["--no-partial-parse"])]
    parsed = project.dbt(words, quiet=True).result
    nodes = parsed.nodes.values()
    views = [n.unique_id for n in nodes if n.config.get("materialized") == "feature_view"]
    failed: dict[str, ForebayError] = {}
    connected = False
    needed = upstream(views, parsed)
    # A leaf's query is never read, and an incremental model's would ask the database.
    spared = [i for i in upstream(views, parsed, beyond_leaves=True) if i not in needed]
    spared += [i for i in needed if is_leaf(parsed.nodes.get(i))]
    while set(views) - set(failed):
        left_out = [".".join(parsed.nodes[i].fqn) + "+" for i in failed]
        left_out += [".".join(parsed.nodes[i].fqn) for i in spared if i in parsed.nodes]
        words = [
            *("compile", "--select", "+config.materialized:feature_view"),
            *("--exclude", "resource_type:test", "resource_type:unit_test", *left_out),
            *("--no-write-json", "--no-populate-cache"),
        ]
        try:
            compiled = project.dbt(words, quiet=True, manifest=parsed)
            connected |= compiled.connected
            parsed = compiled.manifest or parsed
            break
        except DbtError as error:
            # dbt stops at the first: what else fails is found without it.
            node = _node_named_in(error.what, parsed)
            if node is None or node in failed:
                raise
            failed[node] = error
    definitions = define(
        parsed, [*views, *services_of(parsed)], lambda node: str(node.compiled_code or "")
    )
    manifest = {**_as_dicts(parsed), "definitions": definitions}
    return Answer(manifest, not connected and not _is_volatile(parsed, views), failed)


def _node_named_in(message: str, parsed: Any) -> str | None:
    """The node whose file dbt's message names in parentheses."""
    files = set(re.findall(r"\(([^()]+\.(?:sql|csv|py|yml|yaml))\)", message))
    found = [
        i
        for i, n in parsed.nodes.items()
        if n.original_file_path in files and str(n.resource_type) in _KINDS
    ]
    named = [i for i in found if re.search(rf"\b{re.escape(parsed.nodes[i].name)}\b", message)]
    return next(iter(named or found), None)


def _as_dicts(parsed: Any) -> dict[str, Any]:
    """What the compiler reads of dbt's manifest, without its objects."""

    def of(found: Any) -> dict[str, Any]:
        return {i: node.to_dict(omit_none=False) for i, node in found.items()}

    plain = {
        "metadata": {"project_name": parsed.metadata.project_name},
        "nodes": of({i: n for i, n in parsed.nodes.items() if str(n.resource_type) in _KINDS}),
        "sources": of(parsed.sources),
        "exposures": of(parsed.exposures),
        "groups": of(parsed.groups),
    }
    return dict(json.loads(json.dumps(plain, default=str)))


def _is_volatile(parsed: Any, views: Iterable[str]) -> bool:
    """Whether Jinja that the compiler sees the result of may say another thing next time.

    That is the Jinja of feature views and of what they read, the macros that they call included; of
    a training set only its text is read.
    """
    read = (parsed.nodes.get(i) for i in upstream(views, parsed))
    nodes = [n for n in read if n is not None and not is_leaf(n)]
    macros = {i for n in nodes for i in n.depends_on.macros}
    macros |= {i for i, m in parsed.macros.items() if m.name.startswith("generate_")}
    texts = [str(n.raw_code) for n in nodes]
    texts += [
        str(n.raw_code)
        for n in parsed.nodes.values()
        if n.config.get("materialized") == "training_set"
    ]
    texts += macros_under(parsed, macros)
    return any(VOLATILE.search(part) for text in texts for part in jinja_parts(text))
