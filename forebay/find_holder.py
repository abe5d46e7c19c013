"""Who has the project's DuckDB file open: only one process may write to it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.run_lock import PAUSE, HeldError

if TYPE_CHECKING:
    from forebay.project import Project

_REFUSED = re.compile(r"Could not set lock on file \"(.*?)\"")
_HOLDER = re.compile(r"lock is held in (.*?) \(PID (\d+)\)")


def database_of(project: Project) -> Path | None:
    """The target's DuckDB file; None where its database is no local file."""
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


def held_error(message: str) -> HeldError | None:
    """DuckDB's own message as one that names the process, if it is about a lock."""
    refused = _REFUSED.search(message)
    if refused is None:
        return None
    holder = _HOLDER.search(message)
    who = "another process"
    if holder is not None:
        who = f"process {holder[2]} ({_command_of(int(holder[2])) or Path(holder[1]).name})"
    return HeldError(
        f"{who} has the database open",
        where=refused[1],
        mend="close it there, or wait for it: `forebay build --wait`",
    )


def _command_of(process: int) -> str:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""  # it has ended meanwhile, or this system tells in another way
    text = " ".join([Path(words[0]).name, *words[1:]]).strip()
    return text if len(text) <= 80 else f"{text[:76]} ..."
