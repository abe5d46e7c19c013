"""A new project's folder appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from feature_specs.errors import ForebayError

#: What a project's own runs write, and git should not keep.
IGNORED = ("target/", "logs/", "lake/", "online.lmdb/", "served_vectors/", ".user.yml")
GITIGNORE = "".join(f"{name}\n" for name in IGNORED)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new or empty folder.

    Args:
        files: content by the file's path in the folder.

    Raises:
        ForebayError: something is there already.
    """
    path = path.absolute()
    refuse_occupied(path)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, content in files.items():
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if path.exists():
            # An empty folder stays itself: a shell may stand in it.
            for part in sorted(partial.iterdir()):
                part.rename(path / part.name)
        else:
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_occupied(path: Path) -> None:
    """Refuse a path at which something is.

    Raises:
        ForebayError: it is a file, or a folder that is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ForebayError(
            "something is there already",
            where=str(path),
            hint="name a new or an empty folder; in a dbt project, `forebay init --here` adds "
            "forebay to it",
        )


def read_folder(root: Path) -> dict[str, bytes]:
    """A folder's files, by their paths in it."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
