"""Expand paths, folders and patterns to files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from feature_specs.errors import DataError
from lakehouse.ingest.source import FORMATS, check_file, format_of


def expand_paths(given: Sequence[Path]) -> tuple[Path, ...]:
    """Files in order of name, each once: all below a folder, all that match a pattern.

    Names that begin with a dot or an underscore are passed over in folders, as engines write them
    beside their data (``_SUCCESS``, ``_temporary``), but for those of partitions (``_day=1``).

    Args:
        given: files, folders, and patterns with ``*``, ``?``, ``[...]`` and ``**``.

    Raises:
        DataError: there is no such file, or one in a folder is of no format that we know.
    """
    chosen: dict[Path, Path] = {}
    for path in given:
        for found in _expanded(path):
            chosen.setdefault(found.resolve(), found)
    return tuple(chosen.values())


def _expanded(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from _in_folder(path)
    elif re.search(r"[*?\[]", str(path)) and not path.exists():
        matches = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
        if not matches:
            raise DataError(
                "no file matches the pattern",
                where=str(path),
                hint="check it; ** stands for folders at any depth",
            )
        for match in matches:
            # `a/**` matches both a folder and what is in it: each file counts once.
            yield from _in_folder(match) if match.is_dir() else [_checked(match)]
    else:
        yield _checked(path)


def _in_folder(folder: Path) -> Iterator[Path]:
    found = [p for p in sorted(folder.rglob("*")) if not p.is_dir() and not _hidden(folder, p)]
    odd = next((p for p in found if format_of(p) is None), None)
    if odd is not None:
        raise DataError(
            f"the folder {str(folder)!r} holds it, and its format is not known",
            where=str(odd),
            hint=f"name a pattern instead, such as '{folder}/**/*.parquet'; forebay reads "
            + ", ".join(FORMATS),
        )
    if not found:
        raise DataError(
            "the folder has no files in it",
            where=str(folder),
            hint="check the path; names that begin with a dot or an underscore are passed over",
        )
    yield from map(_checked, found)


def _hidden(folder: Path, path: Path) -> bool:
    parts = path.relative_to(folder).parts
    return any(p.startswith(".") or (p.startswith("_") and "=" not in p) for p in parts)


def _checked(path: Path) -> Path:
    check_file(path)
    return path
