"""Writing a text file whole or not at all."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4


def has_text(path: Path, text: str) -> bool:
    """Whether a file is there and holds just that text; one that a crash damaged may be no text."""
    return path.exists() and path.read_bytes() == text.encode()


def write_if_changed(path: Path, text: str) -> bool:
    """Write a file only when its text differs, so that dbt does not parse it again.

    A reader sees the old text or the new one, whole.
    """
    if has_text(path, text):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two commands may write the same file at once.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True
