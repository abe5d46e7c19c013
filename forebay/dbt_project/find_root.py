"""Where the project is; imported by commands that answer in a moment, so that it imports little."""

from __future__ import annotations

from pathlib import Path

from feature_specs.errors import ForebayError

#: Where a project's own clock is written, for errors.
CLOCK_PLACE = "dbt_project.yml, var forebay_now"


def find_root(start: Path | None = None) -> Path:
    """The nearest folder upwards with a dbt_project.yml.

    Raises:
        ForebayError: there is none.
    """
    folder = (start or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        if (candidate / "dbt_project.yml").exists():
            return candidate
    raise ForebayError(
        "no dbt_project.yml here or above",
        where=str(folder),
        hint="change into a project, or make one with `forebay init my_features`",
    )


def compiled_folder(root: Path) -> Path:
    """Where compile writes in a project: target/forebay."""
    return root / "target" / "forebay"
