"""The flights example: where it stands, and a copy of it."""

from __future__ import annotations

from pathlib import Path

import forebay
from forebay.scaffold.write_folder import GITIGNORE, read_folder, write_folder

#: What the example project consists of, relative to its root.
PARTS = ("models", "macros", "profiles", "tests/dbt", "dbt_project.yml")


def copy_example(path: Path, more: dict[str, bytes] | None = None) -> None:
    """Copy the example project into a new or empty folder; the folder appears whole.

    Args:
        more: further files to write there.

    Raises:
        ForebayError: something is there already.
    """
    source = example_root()
    files = {".gitignore": GITIGNORE.encode(), **(more or {})}
    for part in PARTS:
        if (source / part).is_dir():
            inside = read_folder(source / part)
            files |= {f"{part}/{name}": content for name, content in inside.items()}
        else:
            files[part] = (source / part).read_bytes()
    write_folder(path, files)


def example_root() -> Path:
    """Where the example stands: inside an installed package, else the root of this repository."""
    home = Path(forebay.__file__).parent
    packaged = home / "example"
    return packaged if packaged.exists() else home.parent
