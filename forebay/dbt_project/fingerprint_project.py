"""A fingerprint of everything that decides what dbt's parse and compile make of a project.

Files count by content. Where it cannot be known what dbt would read, there is no fingerprint, and
dbt is asked anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_specs.errors import ForebayError
from feature_specs.volatile_jinja import VOLATILE, jinja_parts
from forebay.dbt_project.check_setup import MACROS
from forebay.dbt_project.project import Project
from forebay.dbt_project.read_yaml import read_yaml

#: dbt's settings of folders and their defaults; ``docs-paths`` are by default all the others.
_FOLDERS = {
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "seed-paths": ["seeds"],
    "snapshot-paths": ["snapshots"],
    "analysis-paths": ["analyses"],
    "test-paths": ["tests"],
    "function-paths": ["functions"],
    "docs-paths": [],
}
_PACKAGES = "packages-install-path"

_ENV_VAR = re.compile(r"\benv_var\(\s*(?:'([^'\\{}]*)'|\"([^\"\\{}]*)\")\s*[,)]")


@dataclass(frozen=True)
class Fingerprint:
    """The project's present state, as far as dbt's manifest depends on it.

    Attributes:
        key: equal for equal states.
        paths: equal where the same files are there, whatever they hold.
        volatile: a file whose Jinja may say another thing in the next run, None where there is none.
        files: of each file of the project, by its path from the root, a digest.
    """

    key: str
    paths: str
    volatile: str | None
    files: Mapping[str, str]


def fingerprint_project(project: Project) -> Fingerprint | None:
    """The fingerprint, or None where the files that dbt reads cannot be told without dbt."""
    digest = hashlib.blake2b(digest_size=16)
    names: set[str] = set()
    all_variables, volatile = False, None
    digests: dict[str, str] = {}
    try:
        files = sorted(set(_files(project)))
    except (ForebayError, _UnknownPathError):
        return None
    for path in files:
        try:
            content = path.read_bytes()
        except OSError:
            return None  # it went away, or is not a file: whoever knows is dbt
        _add(digest, str(path), hashlib.blake2b(content).hexdigest())
        if path.is_relative_to(project.root):
            short = hashlib.blake2b(content, digest_size=8).hexdigest()
            digests[str(path.relative_to(project.root))] = short
        if path.suffix not in (".sql", ".yml", ".yaml", ".md", ".py"):
            continue
        text = content.decode(errors="replace")
        if "env_var" in text:
            found = [a or b for a, b in _ENV_VAR.findall(text)]
            names |= set(found)
            all_variables |= len(found) != len(re.findall(r"\benv_var\b", text))
        if volatile is None and _is_volatile(path, text):
            volatile = str(path)
    if all_variables:
        names = set(os.environ)
    names |= {name for name in os.environ if name.startswith("DBT_")}
    for name in sorted(names):
        _add(digest, name, os.environ.get(name, "\0"))
    _add(digest, str(project.root), str(project.profiles), str(project.target), *_installed())
    listed = "\0".join(map(str, files))
    paths = hashlib.blake2b(listed.encode(), digest_size=16).hexdigest()
    return Fingerprint(digest.hexdigest(), paths, volatile, digests)


class _UnknownPathError(Exception):
    """A setting that only dbt can render."""


def _files(project: Project) -> Iterator[Path]:
    yield project.profiles / "profiles.yml"
    yield from _walk(_own_macros())
    packages = _listed(project.settings, _PACKAGES, ["dbt_packages"])
    ours = (project.root / MACROS).resolve()
    for path in _files_of_package(project.root, project.settings):
        # Generated macros stand in no feature view; the library's own count where they come from.
        if not path.resolve().is_relative_to(ours):
            yield path
    for folder in packages:
        home = project.root / folder
        for package in sorted(home.iterdir()) if home.is_dir() else ():
            settings = package / "dbt_project.yml"
            if settings.exists():
                yield from _files_of_package(package, read_yaml(settings))


def _files_of_package(root: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    for pattern in ("*.yml", "*.yaml", ".dbtignore"):
        yield from root.glob(pattern)
    for setting, default in _FOLDERS.items():
        for folder in _listed(settings, setting, default):
            yield from _walk(root / folder)


def _listed(settings: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    value = settings.get(name)
    if value is None:
        return default
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or any(not isinstance(v, str) or "{" in v for v in listed):
        raise _UnknownPathError(name)
    return listed


def _walk(folder: Path) -> Iterator[Path]:
    """All files under a folder, through symbolic links, none of them twice around."""
    seen: set[str] = set()
    for home, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(home)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(home) / name for name in files)


def _own_macros() -> Path:
    import lakehouse

    return Path(lakehouse.__file__).parent / "macros"


def _is_volatile(path: Path, text: str) -> bool:
    """Whether a file by itself may change what the project declares, from one run to the next.

    The SQL of models and macros matters where a feature view reads it, which the manifest tells;
    but a model may also switch itself on and off.
    """
    declares = path.suffix in (".yml", ".yaml") or "enabled" in text
    return declares and any(VOLATILE.search(part) for part in jinja_parts(text))


def _installed() -> list[str]:
    """What of dbt is installed, versions and plugins included, without importing any of it."""
    found = set()
    for place in sys.path:
        try:
            names = os.listdir(place or ".")  # noqa: PTH208 (a tenth of Path.iterdir's time)
        except OSError:
            continue
        for name in names:
            if not name.lower().startswith(("dbt", "jinja2")):
                continue
            # A plugin is a module dbt_...; a project's own files of such names are not.
            module = name.endswith(".py") or os.path.exists(f"{place or '.'}/{name}/__init__.py")  # noqa: PTH110
            if module or name.endswith((".dist-info", ".egg-info")):
                found.add(name)
    return sorted(found)


def _add(digest: Any, *texts: str) -> None:
    digest.update(json.dumps(texts).encode())
