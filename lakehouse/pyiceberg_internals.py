"""All uses of pyiceberg's private names, in one module to be updated with it.

tests/lakehouse/test_pyiceberg_internals.py holds that they are as this module takes them.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence, Set

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import _check_pyarrow_schema_compatible, _dataframe_to_data_files
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import (
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetCurrentSchemaUpdate,
    TableRequirement,
    TableUpdate,
    update_table_metadata,
)
from pyiceberg.table.update.snapshot import _FastAppendFiles, _MergeAppendFiles, _SnapshotProducer
from pyiceberg.typedef import EMPTY_DICT


def check_columns(transaction: Transaction, schema: pa.Schema) -> None:
    """Raises ValueError unless the schema fits the table's columns."""
    metadata = transaction.table_metadata
    _check_pyarrow_schema_compatible(
        metadata.schema(), provided_schema=schema, format_version=metadata.format_version
    )


def delete_all(transaction: Transaction) -> None:
    """Delete every row, as the first half of an overwrite."""
    transaction.delete(AlwaysTrue(), _isolation_operation=Operation.OVERWRITE)


def file_io(transaction: Transaction) -> FileIO:
    """The FileIO of the transaction's table."""
    return transaction._table.io


def changed_table(transaction: Transaction) -> Table:
    """The transaction's table as it will be by the changes so far."""
    table = transaction._table
    return Table(
        table.name(), transaction.table_metadata, table.metadata_location, table.io, table.catalog
    )


def append_snapshot(transaction: Transaction) -> _FastAppendFiles:
    """A snapshot to which files are appended, committed with the transaction."""
    return transaction._append_snapshot_producer({})


def write_files(
    transaction: Transaction, rows: pa.Table, write_uuid: uuid.UUID, counter: itertools.count[int]
) -> Iterator[DataFile]:
    """Write rows as Parquet files beside a table's own.

    Args:
        write_uuid: of the snapshot, of which the files' names are made.
        counter: numbers the files of the snapshot.
    """
    yield from _dataframe_to_data_files(
        table_metadata=transaction.table_metadata,
        df=rows,
        io=file_io(transaction),
        write_uuid=write_uuid,
        counter=counter,
    )


class AppendFile(_MergeAppendFiles):
    """An append that fails, instead of rebasing, if another writer came first."""

    def _refresh_for_retry(self) -> None:
        raise CommitFailedException("another writer came first")


class ReplaceFiles(_SnapshotProducer["ReplaceFiles"]):
    """An overwrite of all files that fails, instead of rebasing, if another writer came first.

    pyiceberg's own overwrite reads every manifest three times, and keeps those that only say which
    files went before, one more each time.
    """

    def __init__(self, operation: Operation, transaction: Transaction, io: FileIO) -> None:
        super().__init__(operation, transaction, io)
        self.replaced: list[ManifestEntry] = []

    def _validate_concurrency(self) -> None:
        """Leave conflicts to the catalog, which refuses the commit if another writer came first."""

    def _refresh_for_retry(self) -> None:
        raise CommitFailedException("another writer came first")

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _deleted_entries(self) -> list[ManifestEntry]:
        return [
            _entry(entry, ManifestEntryStatus.DELETED, self._snapshot_id) for entry in self.replaced
        ]


class _DeletesWriter(ManifestWriterV2):
    """A manifest of delete files, which pyiceberg reads and does not write."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class ChangeFiles(_SnapshotProducer["ChangeFiles"]):
    """Data files and delete files added, and perhaps others taken out, in one snapshot.

    It fails, instead of rebasing, if another writer came first.

    Attributes:
        added_deletes: delete files that are new.
        kept: where files are taken out, the entries of all others: those of data files and of
            delete files are each written as one manifest. None keeps the manifests as they are.
        removed: entries that are taken out.
        spared: whether manifests that name none of the removed files stay as they are, whatever
            ``kept`` says: a reader that looks for one partition then reads few of them.
    """

    def __init__(self, operation: Operation, transaction: Transaction, io: FileIO) -> None:
        super().__init__(operation, transaction, io)
        self.added_deletes: list[DataFile] = []
        self.kept: tuple[Sequence[ManifestEntry], Sequence[ManifestEntry]] | None = None
        self.removed: Sequence[ManifestEntry] = ()
        self.spared = False

    def _validate_concurrency(self) -> None:
        """Leave conflicts to the catalog, which refuses the commit if another writer came first."""

    def _refresh_for_retry(self) -> None:
        raise CommitFailedException("another writer came first")

    def _existing_manifests(self) -> list[ManifestFile]:
        if self.kept is None or self.spared:
            head = self._transaction.table_metadata.current_snapshot()
            known = [] if head is None else list(head.manifests(self._io))
            return list(self._without_removed(known)) if self.spared else known
        writers = (self.new_manifest_writer, self._deletes_writer)
        return [
            self._write(writer(self.spec(entries[0].data_file.spec_id)), entries, "EXISTING")
            for writer, entries in zip(writers, self.kept, strict=True)
            if entries
        ]

    def _without_removed(self, manifests: Sequence[ManifestFile]) -> Iterator[ManifestFile]:
        """The manifests as they stand, those anew that name a removed file."""
        gone = {e.data_file.file_path for e in self.removed}
        for manifest in manifests:
            entries = manifest.fetch_manifest_entry(self._io, discard_deleted=True)
            left = [e for e in entries if e.data_file.file_path not in gone]
            if left and len(left) == len(entries):
                yield manifest
            elif left:
                data = manifest.content == ManifestContent.DATA
                writer = self.new_manifest_writer if data else self._deletes_writer
                yield self._write(writer(self.spec(manifest.partition_spec_id)), left, "EXISTING")

    def _deleted_entries(self) -> list[ManifestEntry]:
        data = [e for e in self.removed if e.data_file.content == DataFileContent.DATA]
        return [_entry(e, ManifestEntryStatus.DELETED, self._snapshot_id) for e in data]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        if not self.added_deletes:
            return manifests
        writer = self._deletes_writer(self._transaction.table_metadata.spec())
        added = [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.ADDED,
                snapshot_id=self._snapshot_id,
                sequence_number=None,
                file_sequence_number=None,
                data_file=file,
            )
            for file in self.added_deletes
        ]
        return [*manifests, self._write(writer, added)]

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        # The manifests of data files are written by now.
        self._added_data_files = [*self._added_data_files, *self.added_deletes]
        self._deleted_data_files |= {e.data_file for e in self.removed}
        if self._operation != Operation.REPLACE:
            return super()._summary(snapshot_properties)
        self._operation = Operation.OVERWRITE  # pyiceberg sums up no other of the two
        summary = super()._summary(snapshot_properties)
        self._operation = Operation.REPLACE
        return Summary(Operation.REPLACE, **summary.additional_properties)

    def _write(
        self, writer: ManifestWriter, entries: Sequence[ManifestEntry], status: str | None = None
    ) -> ManifestFile:
        with writer:
            for e in entries:
                known = e if status is None else _entry(e, ManifestEntryStatus[status], None)
                writer.add_entry(known)
        return writer.to_manifest_file()

    def _deletes_writer(self, spec: PartitionSpec) -> ManifestWriter:
        metadata = self._transaction.table_metadata
        output = self.new_manifest_output()
        return _DeletesWriter(spec, metadata.schema(), output, self._snapshot_id, self._compression)


def _entry(
    entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None
) -> ManifestEntry:
    """The same entry with another status, by its own snapshot where none is given."""
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=entry.snapshot_id if snapshot_id is None else snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )


class SteadyTransaction(Transaction):
    """A transaction that fails if another writer came first, where pyiceberg's tries again on top.

    Nor does it copy the table's metadata each time that it looks something up. pyiceberg does so
    dozens of times a commit; nobody writes to what is handed out.
    """

    _seen: tuple[tuple[TableUpdate, ...], TableMetadata] | None = None

    def forget_snapshots(self, most: int, kept: Callable[[], Set[int]] = frozenset) -> None:
        """Drop the older half of the snapshots where there are more.

        Every one of them is written and read again at each commit; the log tells what has been.

        Args:
            kept: gives snapshots that stay, with all that came after them, up to ten times ``most``.
        """
        known = self._table.metadata.snapshots
        if len(known) <= most:
            return
        held = {ref.snapshot_id for ref in self._table.metadata.refs.values()}
        oldest = sorted(known, key=lambda s: s.sequence_number or 0)[: len(known) - most // 2]
        wanted = kept() if len(known) <= 10 * most else frozenset()
        first = next((n for n, s in enumerate(oldest) if s.snapshot_id in wanted), len(oldest))
        ids = [s.snapshot_id for s in oldest[:first] if s.snapshot_id not in held]
        self.remove_snapshots(ids)

    def remove_snapshots(self, ids: Sequence[int]) -> None:
        """Take snapshots out of the table's metadata."""
        if ids:
            update = RemoveSnapshotsUpdate.model_validate({"snapshot-ids": list(ids)})
            self._stage((update,))

    def _rebuild_snapshot_updates(self) -> None:
        raise CommitFailedException("another writer came first")

    def use_schema(self, number: int) -> None:
        """Make one of the table's schemas, by its id, the current one."""
        if number != self.table_metadata.current_schema_id:
            self._stage((SetCurrentSchemaUpdate.model_validate({"schema-id": number}),))

    def forget_refs(self, names: Iterable[str]) -> None:
        """Take tags and branches out of the table's metadata."""
        for name in names:
            self._stage((RemoveSnapshotRefUpdate.model_validate({"ref-name": name}),))

    def require(self, requirement: TableRequirement) -> None:
        """Add a requirement without which the commit fails."""
        self._stage((), (requirement,))

    def require_layout(self) -> None:
        """Fail where the table's columns or partitions are not those that files were written for.

        A change of either makes no snapshot, by which a commit would notice it.
        """
        metadata = self._table.metadata
        seen = {"current-schema-id": metadata.current_schema_id}
        self.require(AssertCurrentSchemaId.model_validate(seen))
        seen = {"default-spec-id": metadata.default_spec_id}
        self.require(AssertDefaultSpecId.model_validate(seen))

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata with the updates so far."""
        if not self._updates:
            return self._table.metadata
        if self._seen is None or self._seen[0] is not self._updates:
            self._seen = (self._updates, update_table_metadata(self._table.metadata, self._updates))
        return self._seen[1]
