"""Who has the project's DuckDB file open: only one process may write to it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.dbt_project.name_holder import held_error
from lakehouse.run_lock import PAUSE, HeldError

if TYPE_CHECKING:
    from forebay.dbt_project.project import Project


def database_of(project: Project) -> Path | None:
    """The target's DuckDB file; None if its database is not a local file."""
    path = str((project.profile_target.output or {}).get("path") or ":memory:")
    if path.startswith(":memory:") or re.match(r"\w{2,}:", path):
        return None
    return project.root / path


def wait_for_database(project: Project, wait: float | None = None) -> None:
    """Look whether dbt will be able to open the database.

    Args:
        wait: for how many seconds to wait until it can; None for not at all.

    Raises:
        HeldError: another process has it open, still.
    """
    deadline = time.monotonic() + (wait or 0)
    while (error := find_holder(project)) is not None:
        if time.monotonic() >= deadline:
            raise error
        time.sleep(PAUSE)


def find_holder(project: Project) -> HeldError | None:
    """The error of opening the database now, if another process has it open."""
    import duckdb

    path = database_of(project)
    if path is None or not path.exists():
        return None
    try:
        duckdb.connect(str(path)).close()
    except duckdb.IOException as error:
        return held_error(str(error))
    except duckdb.Error:
        return None  # dbt will say what is wrong with it
    return None
