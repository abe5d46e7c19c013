"""Find the files in a table's folders that nothing needs any more, and delete them.

A file that the table names, or did name within the last hour, stays. Of the others these may go:

- what an older metadata file names, so that it was committed once, by a snapshot that is gone since;
- orphans, which no metadata names, once they are days old: a writer in progress may own younger ones;
- metadata files, but for the last few and those of the last hour;
- indexes of data files that are gone.

Data files go first and metadata files last, so that a run that is killed leaves what names the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from feature_specs.errors import DataError
from lakehouse.drop_table import own_folders
from lakehouse.maintain.named_files import files_under, needed_files, read_old_metadata
from lakehouse.maintain.stored_files import FileStore, StoredFile, store_of

_METADATA = re.compile(r"\.metadata\.json$|\.gz\.metadata\.json$|\.metadata\.json\.gz$")
#: Kinds of files that Iceberg's writers leave behind; what else lies there is somebody's own.
_ORPHANS = (".parquet", ".avro", ".orc", ".puffin", ".stats")
_INDEX = re.compile(r"(.*)-[^-]+\.arrow$|.*\.partial$")
#: In which order kinds go.
KINDS = ("data", "index", "manifests", "metadata")


@dataclass(frozen=True)
class Ages:
    """How long things are kept.

    Attributes:
        snapshots: since they were last the table's head; files of readers, too.
        orphans: files that no metadata names.
        metadata_files: how many older ones of these stay, whatever their age.
    """

    snapshots: timedelta = timedelta(hours=1)
    orphans: timedelta = timedelta(days=3)
    metadata_files: int = 10


@dataclass(frozen=True)
class Freed:
    """Files of one kind that may go, or went."""

    kind: str
    files: tuple[StoredFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


def find_free_files(
    table: Table,
    expired: Sequence[Snapshot],
    now: datetime,
    ages: Ages,
    foreign: Iterable[str] = (),
    others: Iterable[str] = (),
    *,
    ahead: bool = False,
) -> list[Freed]:
    """The files of a table that nothing needs, by kind, in the order in which they are to go.

    Args:
        table: as it stands; its snapshots but for ``expired`` are kept.
        expired: those that are to be taken out, or were a moment ago.
        foreign: URIs of files that other tables name outside of their own folders.
        others: folders of other tables.
        ahead: the commit that takes ``expired`` out is still to come, and will make today's metadata
            file an older one: what is found may go after it.

    Raises:
        DataError: metadata cannot be read, or the files in the folders are not those that the table
            names, so that nothing can be said of the others.
    """
    return _Search(table, now, ages, ahead).run(expired, foreign, others)


def free_files(table: Table, freed: Iterable[Freed]) -> tuple[str, ...]:
    """Delete them. Returns the names of those that could not be."""
    store = store_of(table.io, table.location())
    failed = []
    for file in (file for kind in freed for file in kind.files):
        try:
            store.delete(file.name)
        except FileNotFoundError:
            continue
        except OSError:
            failed.append(file.name)
    return tuple(failed)


class _Search:
    def __init__(self, table: Table, now: datetime, ages: Ages, ahead: bool) -> None:
        self.table, self.now, self.ages, self.ahead = table, now, ages, ahead
        self.store: FileStore = store_of(table.io, table.location())
        self.young = now - ages.snapshots

    def run(
        self,
        expired: Sequence[Snapshot],
        foreign: Iterable[str],
        others: Iterable[str],
    ) -> list[Freed]:
        table = self.table
        if not own_folders(table):
            return []  # it was registered, and lies where somebody else keeps it
        kept = {s.snapshot_id for s in table.snapshots()} - {s.snapshot_id for s in expired}
        needed = needed_files(table, kept)
        # After the metadata: what is committed meanwhile is in no set, and too young to go.
        listed = self._listed(others)
        names = self._names(needed)
        self._check(names, listed)
        current = listed[self.store.name_of(table.metadata_location)]
        documents = self._documents(listed.values())
        uuid = str(table.metadata.table_uuid)
        old = {
            f.name: read_old_metadata(table.io, self.store.uri_of(f.name), uuid) for f in documents
        }
        heads = {told.head for f in self._recent(current, documents) if (told := old[f.name])}
        held = {*needed, *files_under(table.io, (h for h in heads if h), needed)}
        once = [s.manifest_list for s in expired]
        for file in documents:
            told = old[file.name]
            if told is not None and self._older(file, self.young):
                once += told.lists
        freed = self._names(files_under(table.io, (u for u in once if u not in held), held))
        names |= self._names([*held, *foreign])
        return list(self._sorted(listed, names, freed, documents))

    def _listed(self, others: Iterable[str]) -> dict[str, StoredFile]:
        """The files in the table's own folders, and in no other table's."""
        folders = [self.store.name_of(f) + "/" for f in own_folders(self.table)]
        found = {f.name: f for uri in own_folders(self.table) for f in self.store.files(uri)}
        taken = [self.store.name_of(f) + "/" for f in others]
        # A table whose folder lies around this one's has its say over its own folder alone.
        taken = [t for t in taken if not any(f != t and f.startswith(t) for f in folders)]
        return {
            name: file
            for name, file in found.items()
            if name.startswith(tuple(folders)) and not name.startswith(tuple(taken))
        }

    def _names(self, uris: Iterable[str]) -> set[str]:
        return {self.store.name_of(uri) for uri in uris}

    def _check(self, names: Collection[str], listed: Collection[str]) -> None:
        """Names that the table gives and those that its folders have must be of one spelling."""
        folders = tuple(self.store.name_of(f) + "/" for f in own_folders(self.table))
        lost = sorted(n for n in names if n.startswith(folders) and n not in listed)
        if lost or not any(n.startswith(folders) for n in names):
            raise DataError(
                f"{len(lost)} of the files that it names are not in its folder, such as {lost[0]}"
                if lost
                else "its files are not in its own folder",
                where=f"table {'.'.join(self.table.name())}",
                hint="nothing was deleted; two tables may share the folder, or files were lost",
            )

    def _documents(self, files: Iterable[StoredFile]) -> list[StoredFile]:
        """Older metadata files, newest first."""
        current = self.store.name_of(self.table.metadata_location)
        known = [f for f in files if _METADATA.search(f.name)]
        found = sorted(
            (f for f in known if f.name != current),
            key=lambda f: (f.changed or self.now, f.name),
            reverse=True,
        )
        return [f for f in known if f.name == current and self.ahead] + found

    def _recent(self, current: StoredFile, documents: Sequence[StoredFile]) -> Iterator[StoredFile]:
        """Those that said what the table was within the last hour: the first older one did too."""
        if self._older(current, self.young) and not self.ahead:
            return
        for file in documents:
            yield file
            if self._older(file, self.young):
                return

    def _older(self, file: StoredFile, than: datetime) -> bool:
        return file.changed is not None and file.changed < than

    def _sorted(
        self,
        listed: dict[str, StoredFile],
        names: set[str],
        freed: set[str],
        documents: Sequence[StoredFile],
    ) -> Iterator[Freed]:
        home = self.store.name_of(self.table.location())
        kinds: dict[str, list[StoredFile]] = {kind: [] for kind in KINDS}
        stems = {f"{PurePath(n).parent.name}-{PurePath(n).stem}" for n in names}
        for name, file in listed.items():
            index = _INDEX.match(PurePath(name).name) if name.startswith(f"{home}/index/") else None
            if index:
                if index[1] not in stems and self._older(file, self.young):
                    kinds["index"].append(file)
            elif name in names or _METADATA.search(name):
                continue
            elif name in freed or self._is_orphan(name.removeprefix(home), file):
                inner = name.endswith(".avro") and "/metadata/" in name
                kinds["manifests" if inner else "data"].append(file)
        # Lists of manifests go after the manifests.
        kinds["manifests"].sort(key=lambda f: PurePath(f.name).name.startswith("snap-"))
        older = [f for f in documents[self.ages.metadata_files :] if self._older(f, self.young)]
        kinds["metadata"] = older[::-1]
        for kind, files in kinds.items():
            yield Freed(kind, tuple(files))

    def _is_orphan(self, place: str, file: StoredFile) -> bool:
        parts = place.split("/")[1:]
        hidden = any(part[:1] in (".", "_") for part in parts)
        ours = parts[0] in ("data", "metadata") and place.endswith(_ORPHANS)
        return ours and not hidden and self._older(file, self.now - self.ages.orphans)
