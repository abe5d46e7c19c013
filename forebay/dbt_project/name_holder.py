"""Name the process that holds a DuckDB file, from DuckDB's own message."""

from __future__ import annotations

import re
from pathlib import Path

from lakehouse.run_lock import HeldError

_REFUSED = re.compile(r"Could not set lock on file \"(.*?)\"")
_HOLDER = re.compile(r"lock is held in (.*?) \(PID (\d+)\)")


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
        hint="close it there, or wait for it: `forebay build --wait`",
    )


def _command_of(process: int) -> str:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""  # it has ended meanwhile, or this system tells in another way
    text = " ".join([Path(words[0]).name, *words[1:]]).strip()
    return text if len(text) <= 80 else f"{text[:76]} ..."
