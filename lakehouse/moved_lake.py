"""Detect a lake that was copied or moved: its catalog still names the old files.

Iceberg writes absolute paths. In a project that was copied, the copy's catalog still names the
original's files, and what is built or dropped there is the original's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from feature_specs.errors import DataError
from lakehouse.local_path import local_path

_DOCS = 'docs/lake.md, "Copying or moving a project"'


def warehouse_of(properties: Mapping[str, str]) -> Path | None:
    """The warehouse of a catalog in a SQLite file, links resolved, if it is a local folder.

    None where many projects may share the catalog, so that tables may rightly lie anywhere.
    """
    warehouse = local_path(properties.get("warehouse", ""))
    if not properties.get("uri", "").startswith("sqlite:") or not warehouse.startswith("/"):
        return None
    return Path(warehouse).resolve()


def lies_in(warehouse: Path, uri: str) -> bool:
    """Whether a file or folder is in the warehouse, by whatever links."""
    path = local_path(uri)
    return path.startswith("/") and Path(path).resolve().is_relative_to(warehouse)


def check_in_place(properties: Mapping[str, str], metadata_file: str, uuid: str | None) -> None:
    """Refuse a table whose files lie elsewhere while the warehouse has a copy of them.

    A table that lies elsewhere and has no copy here was registered so.

    Args:
        properties: the catalog's.
        metadata_file: of the table, as the catalog names it.
        uuid: the table's; None where that file is not there.

    Raises:
        DataError: the lake was copied or moved; names both places, and what to do.
    """
    warehouse = warehouse_of(properties)
    named, database = Path(local_path(metadata_file)), properties.get("uri", "")
    if warehouse is None or not named.is_absolute() or lies_in(warehouse, str(named)):
        return
    folder = named.parent.parent
    for copy in _same_tails(warehouse, folder):
        if folder.exists() and copy.exists() and folder.samefile(copy):
            return  # one folder, seen at two places
        if (copy / "metadata" / named.name).exists() or uuid in tuple(_uuids(copy)):
            raise _not_in_place(database, folder, copy, moved=uuid is None)


def _not_in_place(database: str, folder: Path, copy: Path, *, moved: bool) -> DataError:
    was, now = folder, copy
    while was.name == now.name:
        was, now = was.parent, now.parent
    hint = (
        f"move it back, or let the old place be a link to the new one: ln -s {now} {was}"
        if moved
        else f"work in {was}, or give the copy a lake of its own"
    )
    return DataError(
        f"this catalog was {'moved' if moved else 'copied'} from {was} to {now}, and still names "
        "the files there, for Iceberg's paths are absolute",
        where=database,
        hint=f"{hint}; {_DOCS}",
    )


def _same_tails(warehouse: Path, folder: Path) -> Iterator[Path]:
    parts = folder.parts[1:]
    return (warehouse.joinpath(*parts[n:]) for n in range(len(parts)))


def _uuids(folder: Path) -> Iterator[str]:
    for file in (folder / "metadata").glob("*.metadata.json"):
        try:
            yield json.loads(file.read_text())["table-uuid"]
        except (ValueError, KeyError):
            continue
