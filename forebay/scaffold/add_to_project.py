"""Adding forebay to a dbt project: which files change, how, and writing them all or none."""

from __future__ import annotations

import copy
import difflib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from feature_specs.errors import ForebayError
from forebay.dbt_project.check_setup import (
    ALIAS,
    FORMER_PLUGIN,
    MACROS,
    OWN_MACROS,
    PLUGIN,
    READY,
    ProfileTarget,
    filled_config,
    hooks_of,
    macro_paths,
    missing_macros,
    plugin_block,
    profile_faults,
    project_faults,
    setup_error,
)
from forebay.dbt_project.project import Project
from forebay.scaffold.edit_yaml import add_item, add_to_list, add_to_mapping, replace_item
from forebay.scaffold.starter import own_macros
from forebay.scaffold.write_folder import IGNORED


@dataclass(frozen=True)
class Edit:
    """A file's text before, None if there is no file, and after."""

    path: Path
    before: str | None
    after: str

    def diff(self, root: Path) -> str:
        """The edit as a unified diff; paths are relative to the project where they lie in it."""
        inside = self.path.is_relative_to(root)
        name = str(self.path.relative_to(root) if inside else self.path)
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            "/dev/null" if self.before is None else name,
            name,
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def plan_edits(project: Project) -> list[Edit]:
    """What has to change for a dbt project to have all that forebay needs; empty where it has it.

    Raises:
        ForebayError: the target is not DuckDB, or a file cannot be edited; it says what to paste.
    """
    target = project.profile_target
    planned = [
        _project_edit(project),
        _profile_edit(project, target),
        _macros_edit(project),
        _ignore_edit(project.root),
    ]
    return [edit for edit in planned if edit.after != edit.before]


def apply_edits(edits: Sequence[Edit]) -> None:
    """Write all of the edits: each file is whole, and none changes where one cannot be written."""
    made: list[tuple[Path, Path]] = []
    try:
        for edit in edits:
            path = edit.path.resolve()
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.forebay")
            made.append((temporary, path))
            temporary.write_bytes(edit.after.encode())
            if path.exists():
                shutil.copymode(path, temporary)
        for temporary, path in made:
            os.replace(temporary, path)  # noqa: PTH105 (a rename that may overwrite, said plainly)
    finally:
        for temporary, _ in made:
            temporary.unlink(missing_ok=True)


def _project_edit(project: Project) -> Edit:
    path = project.root / "dbt_project.yml"
    text, newline = _read(path)
    settings = dict(project.settings)
    wanted = copy.deepcopy(settings)
    after = text
    try:
        for key, item in _missing_items(settings):
            first = key == "on-run-start"
            after = add_to_list(after, key, item, first=first)
            had = wanted.get(key) or []
            listed = [had] if isinstance(had, str) else list(had)
            wanted[key] = [item, *listed] if first else [*listed, item]
        _check_same(after, wanted)
    except ValueError:
        raise setup_error([*project_faults(project.root, settings)], project.root) from None
    return Edit(path, text.replace("\n", newline), after.replace("\n", newline))


def _missing_items(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not any(PurePosixPath(p) == PurePosixPath(MACROS) for p in macro_paths(settings)):
        if not settings.get("macro-paths"):
            # Where it names none dbt reads macros/; where it names some, those alone.
            yield "macro-paths", "macros"
        yield "macro-paths", MACROS
    if not any("forebay_ready" in hook for hook in hooks_of(settings)):
        yield "on-run-start", READY
    cleaned = settings.get("clean-targets")
    if cleaned and "target" not in [str(c).rstrip("/") for c in cleaned]:
        yield "clean-targets", "target"


def _profile_edit(project: Project, target: ProfileTarget) -> Edit:
    text, newline = _read(target.file)
    faults = list(profile_faults(target))
    if not faults:
        return Edit(target.file, text, text)
    path = [str(target.profile), "outputs", target.name]
    wanted = _unshared(yaml.safe_load(text))
    try:
        after = _with_plugin(text, path, wanted)
        _check_same(after, wanted)
    except (ValueError, KeyError, TypeError):
        raise setup_error(faults, project.root) from None
    return Edit(target.file, text.replace("\n", newline), after.replace("\n", newline))


def _with_plugin(text: str, path: Sequence[str], wanted: Any) -> str:
    """The profile's text with the plugin; ``wanted`` becomes what it is to say."""
    output = wanted[path[0]][path[1]][path[2]]
    plugins = output.get("plugins")
    if not plugins:
        if "plugins" in output:
            raise ValueError("plugins is there and empty")
        output["plugins"] = [_plugin({})]
        flow = f"[{json.dumps(output['plugins'][0])}]"
        return add_to_mapping(text, path, "plugins", plugin_block(0), flow)
    modules = [p.get("module") if isinstance(p, Mapping) else p for p in plugins]
    place = [*path, "plugins"]
    number = next((modules.index(m) for m in (PLUGIN, FORMER_PLUGIN) if m in modules), None)
    if number is None:
        plugins.append(_plugin({}))
        return add_item(text, place, plugin_block(0), json.dumps(plugins[-1]))
    config = plugins[number].get("config") or {}
    plugins[number] = _plugin(config)
    return replace_item(text, place, number, plugin_block(0, config), json.dumps(plugins[number]))


def _plugin(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": PLUGIN, "alias": ALIAS, "config": filled_config(config)}


def _unshared(value: Any) -> Any:
    """A copy in which what YAML wrote once and named twice is there twice."""
    if isinstance(value, dict):
        return {k: _unshared(v) for k, v in value.items()}
    return [_unshared(v) for v in value] if isinstance(value, list) else value


def _macros_edit(project: Project) -> Edit:
    paths = [
        p for p in macro_paths(project.settings) if PurePosixPath(p) != PurePosixPath(MACROS)
    ] or ["macros"]
    path = project.root / paths[0] / "forebay.sql"
    lacks = missing_macros(project.root, paths)
    if not lacks:
        return Edit(path, "", "")
    if lacks != list(OWN_MACROS) or path.exists():
        there = [name for name in OWN_MACROS if name not in lacks] or [path.name]
        raise ForebayError(
            f"{', '.join(there)} is there already, and forebay's macros file brings its own",
            where=str(path.parent),
            hint=f"rename yours, or add {', '.join(lacks)} from forebay's macros/forebay.sql",
        )
    return Edit(path, None, own_macros().decode())


def _ignore_edit(root: Path) -> Edit:
    path = root / ".gitignore"
    if not path.exists():
        return Edit(path, None, "".join(f"{name}\n" for name in IGNORED))
    text, newline = _read(path)
    known = {line.strip().strip("/") for line in text.splitlines()}
    lines = "".join(f"{name}\n" for name in IGNORED if name.strip("/") not in known)
    joint = "\n" if text and not text.endswith("\n") and lines else ""
    after = f"{text}{joint}{lines}"
    return Edit(path, text.replace("\n", newline), after.replace("\n", newline))


def _read(path: Path) -> tuple[str, str]:
    """A file's text with plain newlines, and the newlines that it has."""
    text = path.read_bytes().decode()
    newline = "\r\n" if "\r\n" in text else "\n"
    return text.replace("\r\n", "\n"), newline


def _check_same(text: str, wanted: object) -> None:
    """Refuse an edit that says another thing than it is to.

    Raises:
        ValueError: it does, or it is not YAML any more.
    """
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if said != wanted:
        raise ValueError("the edited text says another thing")
