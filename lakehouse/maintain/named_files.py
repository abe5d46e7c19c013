"""The files that a table's metadata names: those that are needed, and those that once were."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile, read_manifest_list
from pyiceberg.table import Table

from lakehouse.data_files.manifests import entries_of, manifests_of


@dataclass(frozen=True)
class OldMetadata:
    """What an older metadata file of the table says.

    Attributes:
        head: the list of manifests of its current snapshot; None of an empty table.
        lists: those of all of its snapshots.
    """

    head: str | None
    lists: tuple[str, ...]


def needed_files(table: Table, snapshots: Collection[int]) -> set[str]:
    """URIs of all files that some snapshots of a table, and its metadata itself, need.

    Raises:
        DataError: one of the snapshots cannot be read.
    """
    named = {table.metadata_location}
    statistics = [*table.metadata.statistics, *table.metadata.partition_statistics]
    named.update(each.statistics_path for each in statistics)
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.snapshots():
        if snapshot.snapshot_id in snapshots:
            named.add(snapshot.manifest_list)
            found = manifests_of(table, snapshot.snapshot_id)
            manifests |= {m.manifest_path: m for m in found}
    named.update(manifests)
    for manifest in manifests.values():
        named.update(e.data_file.file_path for e in entries_of(table, manifest))
    return named


def files_under(io: FileIO, lists: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """URIs of what lists of manifests name, and of the lists.

    What is not there any more is passed over: somebody has begun to remove it.

    Args:
        known: manifests that need not be looked into.
    """
    seen = set(known)
    for path in dict.fromkeys(lists):
        yield path
        try:
            manifests = list(read_manifest_list(io.new_input(path)))
        except FileNotFoundError:
            continue
        for manifest in manifests:
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield manifest.manifest_path
            try:
                entries = manifest.fetch_manifest_entry(io, discard_deleted=False)
            except FileNotFoundError:
                continue
            yield from (entry.data_file.file_path for entry in entries)


def read_old_metadata(io: FileIO, uri: str, table_uuid: str) -> OldMetadata | None:
    """What a metadata file says; None where it is another table's, damaged, or gone."""
    try:
        with io.new_input(uri).open() as file:
            text = file.read()
        told = json.loads(gzip.decompress(text) if text[:2] == b"\x1f\x8b" else text)
        lists = {s["snapshot-id"]: s["manifest-list"] for s in told.get("snapshots", ())}
        if told.get("table-uuid") != table_uuid:
            return None
        return OldMetadata(lists.get(told.get("current-snapshot-id")), tuple(lists.values()))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None
