"""Cache of parsed Iceberg manifests, which never change.

Parsing one takes pyiceberg some milliseconds, most of it for the schema in its head, and a step reads
the same few again and again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table

from feature_specs.errors import DataError
from lakehouse.data_files.read_metadata import reading_metadata
from lakehouse.local_path import local_path

_Value = TypeVar("_Value")


class _Parsed(Generic[_Value]):
    """Most recently parsed files by path, up to a total weight."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._values: OrderedDict[str, tuple[int, _Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, path: str, weight: Callable[[_Value], int], parse: Callable[[], _Value]
    ) -> _Value:
        """The parsed file, from the cache or parsed now."""
        with self._lock:
            if path in self._values:
                self._values.move_to_end(path)
                return self._values[path][1]
        value = parse()
        with self._lock:
            if path not in self._values:
                self._values[path] = (weight(value), value)
                self._held += weight(value)
            while self._held > self._most:
                self._held -= self._values.popitem(last=False)[1][0]
        return value


#: Up to so many manifests in lists, and files in manifests: some ten megabytes.
_lists: _Parsed[tuple[ManifestFile, ...]] = _Parsed(20_000)
_entries: _Parsed[tuple[ManifestEntry, ...]] = _Parsed(20_000)


def manifests_of(table: Table, snapshot: int | None) -> Sequence[ManifestFile]:
    """The manifests of a snapshot; none of an empty table.

    Raises:
        DataError: the snapshot has expired, or its list of manifests is missing or damaged.
    """
    if snapshot is None:
        return ()
    found = table.snapshot_by_id(snapshot)
    if found is None:
        raise DataError(
            f"snapshot {snapshot} has expired",
            where=f"table {'.'.join(table.name())}",
            hint="run it again, over the table as it is now",
        )
    with reading_metadata(local_path(found.manifest_list)):
        return _lists.get(found.manifest_list, len, lambda: tuple(found.manifests(table.io)))


def entries_of(table: Table, manifest: ManifestFile) -> Sequence[ManifestEntry]:
    """The live entries of a manifest.

    Raises:
        DataError: the manifest is missing or damaged.
    """
    with reading_metadata(local_path(manifest.manifest_path)):
        return _entries.get(
            manifest.manifest_path, len, lambda: tuple(manifest.fetch_manifest_entry(table.io))
        )


def entries_with(
    table: Table,
    snapshot: int | None,
    content: ManifestContent,
    may_matter: Callable[[ManifestFile], bool] | None = None,
) -> tuple[ManifestEntry, ...]:
    """The entries of data or of delete files of a snapshot, or of those manifests that may matter.

    pyiceberg's own planning takes some times as long, and fails on a partition of nulls. Enums are
    compared by value: of a manifest of format version 1, pyiceberg gives the number itself.
    """
    return tuple(
        entry
        for manifest in manifests_of(table, snapshot)
        if manifest.content == content and (may_matter is None or may_matter(manifest))
        for entry in entries_of(table, manifest)
    )
