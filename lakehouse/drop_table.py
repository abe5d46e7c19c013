"""Drop an Iceberg table with all of its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table

from lakehouse.lake import load_table
from lakehouse.moved_lake import lies_in, warehouse_of


@dataclass(frozen=True)
class KeptFiles:
    """Files of a dropped table that were not removed.

    Attributes:
        elsewhere: outside of the table's own folders, where others put them.
        failed: those that could not be removed.
        unknown: manifests that could not be read, so that the files which they name are not known.
    """

    elsewhere: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def drop_table(catalog: Catalog, identifier: str) -> KeptFiles:
    """Take a table out of the catalog, then remove its files.

    Which files there are is read before: what cannot be read stops nothing, and is told. Files
    outside of the table's folders, such as those that another engine added in place, are kept, and
    so is a table that lies outside of the warehouse.

    Raises:
        UnknownNameError: there is none of that name.
    """
    table = load_table(catalog, identifier)
    unknown: list[str] = []
    files = dict.fromkeys(_files(table, unknown))
    try:
        catalog.drop_table(identifier)
    except NoSuchTableError:
        load_table(catalog, identifier)  # another process was faster: says that there is none
        raise
    own = tuple(f"{folder.rstrip('/')}/" for folder in own_folders(table))
    elsewhere = tuple(f for f in files if not f.startswith(own))
    failed = []
    for file in (f for f in files if f.startswith(own)):
        try:
            table.io.delete(file)
        except FileNotFoundError:
            continue
        except OSError:
            failed.append(file)
    return KeptFiles(elsewhere, tuple(failed), tuple(unknown))


def own_folders(table: Table) -> list[str]:
    """The folders of a table's own files; none outside the project's own warehouse."""
    named = [table.properties.get(f"write.{kind}.path") for kind in ("data", "metadata")]
    folders = [table.location(), *(folder for folder in named if folder)]
    warehouse = warehouse_of(table.catalog.properties)
    return [f for f in folders if warehouse is None or lies_in(warehouse, f)]


def _files(table: Table, unknown: list[str]) -> Iterator[str]:
    """Data files first and the table's own metadata last, so that a table can be found by it."""
    lists = list[str]()
    manifests = dict[str, ManifestFile]()
    for snapshot in table.snapshots():
        lists.append(snapshot.manifest_list)
        try:
            manifests |= {m.manifest_path: m for m in snapshot.manifests(table.io)}
        except (OSError, ValueError):
            unknown.append(snapshot.manifest_list)
    for path, manifest in manifests.items():
        try:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
            yield from (entry.data_file.file_path for entry in entries)
        except (OSError, ValueError):
            unknown.append(path)
    yield from manifests
    yield from lists
    yield from (statistics.statistics_path for statistics in table.metadata.statistics)
    yield from (log.metadata_file for log in table.metadata.metadata_log)
    yield table.metadata_location
