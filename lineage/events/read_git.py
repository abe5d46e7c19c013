"""The git branch, commit and remote of a project, read from git's files without starting git."""

from __future__ import annotations

import configparser
from pathlib import Path

from feature_specs.lake_properties import public_uri
from lineage.events.encode_event import Facet


def source_code_location(root: Path) -> Facet | None:
    """The facet of a project's folder; None outside git, or where no remote is named.

    The address is without user, password and token.
    """
    found = _find(root)
    if found is None:
        return None
    top, git = found
    common = _common(git)
    url = _remote(common / "config")
    if url is None:
        return None
    facet = {"type": "git", "url": url, "repoUrl": url}
    path = root.resolve().relative_to(top).as_posix()
    if path != ".":
        facet["path"] = path
    head = _read(git / "HEAD")
    name = head.removeprefix("ref: ")
    if name != head:
        facet["branch"] = name.removeprefix("refs/heads/")
        head = _read(git / name) or _read(common / name) or _packed(common, name)
    if head:
        facet["version"] = head
    return facet


def _find(root: Path) -> tuple[Path, Path] | None:
    """The top of the work tree, and the folder of what git knows of it."""
    start = root.resolve()
    for folder in (start, *start.parents):
        git = folder / ".git"
        if git.is_dir():
            return folder, git
        if git.is_file():  # a worktree or a submodule
            named = Path(_read(git).removeprefix("gitdir: "))
            return folder, named if named.is_absolute() else folder / named
    return None


def _common(git: Path) -> Path:
    """The folder that worktrees of a repository share."""
    named = _read(git / "commondir")
    return (git / named).resolve() if named else git


def _remote(config: Path) -> str | None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string("\n".join(line.strip() for line in _read(config).splitlines()))
    except configparser.Error:
        return None
    remotes = [name for name in parser.sections() if name.startswith('remote "')]
    remotes.sort(key=lambda name: name != 'remote "origin"')
    urls = [parser.get(name, "url", fallback=None) for name in remotes]
    url = next(filter(None, urls), None)
    if url is None:
        return None
    if "://" not in url and ":" in url and not url.startswith(("/", ".")):
        host, _, path = url.rpartition("@")[2].partition(":")  # scp's form: git@host:path
        return f"ssh://{host}/{path}"
    return public_uri(url) if "://" in url else (config.parent / url).resolve().as_uri()


def _packed(common: Path, name: str) -> str:
    for line in _read(common / "packed-refs").splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
