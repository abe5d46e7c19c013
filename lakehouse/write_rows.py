"""Writing the rows of a query to Iceberg in one commit, by DuckDB's own Parquet writer.

DuckDB writes a file on all threads without a detour through Arrow; the commit then names it, with
the bounds that its footer holds. Tables that are new or change their columns, types that either
side spells otherwise, and warehouses on other than a local disk go through Arrow.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlparse

import duckdb
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemoveSnapshotsUpdate,
    TableRequirement,
    TableUpdate,
    update_table_metadata,
)
from pyiceberg.table.update.snapshot import _MergeAppendFiles, _SnapshotProducer
from pyiceberg.typedef import Record

from feature_specs.errors import DataError
from lakehouse.commit import TABLE_PROPERTIES, Columns, Mode, commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.lake import local_path
from lakehouse.manifests import entries_of, manifests_of
from lakehouse.plans import instants_of
from lakehouse.quote import literal, quoted

#: Of a feature table or its log; beyond, older ones are dropped.
MOST_SNAPSHOTS = 100

_COMPRESSION = "write.parquet.compression-codec"
_ROW_GROUP = TABLE_PROPERTIES["write.parquet.row-group-limit"]


def write_query(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    identifier: str,
    sql: str,
    types: Mapping[str, str],
    *,
    at: datetime,
    mode: Mode,
    columns: Columns,
    properties: Mapping[str, str],
    table: Table | None,
) -> Callable[[], int]:
    """Run a query whose rows are to be appended to a table, or to be its whole content.

    Returns what commits them, and then says how many rows the table or the query has. It needs the
    connection no more, and raises DataError where a column has changed its type, or another writer
    has committed since the table was loaded.

    Args:
        sql: parameter ``$as_of``, which is ``at``.
        types: DuckDB's types of its columns.
        columns: whether the table may gain or lose columns.
        properties: table properties to set.
        table: the table from which the rows were computed; None where there is none.
    """
    given = instants_of(sql, at) or None
    if table is None or not _may_copy(table, types):
        rows = connection.sql(sql, params=given).to_arrow_table()

        def commit_arrow() -> int:
            commit_rows(
                catalog, identifier, rows, mode=mode, columns=columns, properties=properties
            )
            return int(rows.num_rows)

        return commit_arrow
    written = _copy(connection, table, sql, given)

    def commit_file() -> int:
        try:
            _commit(table, written, mode, properties)
        except CommitFailedException:
            Path(local_path(written.file_path)).unlink()
            raise _overtaken(identifier) from None
        return int(written.record_count)

    return commit_file


def count_rows(table: Table) -> int:
    """The rows of a table, by what its last commit says."""
    current = table.current_snapshot()
    if current is None or current.summary is None:
        return 0
    return int(current.summary.additional_properties.get("total-records", 0))


def set_properties(table: Table, properties: Mapping[str, str]) -> int:
    """Commit table properties alone. Returns the rows of the table.

    Raises:
        DataError: another writer has committed rows since the table was loaded.
    """
    seen = {"ref": MAIN_BRANCH, "snapshot-id": table.metadata.current_snapshot_id}
    change = SteadyTransaction(table)
    try:
        change.require(AssertRefSnapshotId.model_validate(seen))
        change.set_properties(dict(properties))
        change.commit_transaction()
    except CommitFailedException:
        raise _overtaken(".".join(table.name())) from None
    return count_rows(table)


def _overtaken(identifier: str) -> DataError:
    return DataError(
        "another build committed first, and these rows were computed from the table before it",
        where=f"table {identifier}",
        mend="build one view in one place at a time, and run it again",
    )


def _may_copy(table: Table, types: Mapping[str, str]) -> bool:
    if urlparse(table.location()).scheme not in ("", "file") or not table.spec().is_unpartitioned():
        return False
    schema = table.schema()
    if any(f.required or not f.field_type.is_primitive for f in schema.fields):
        return False
    current = table.metadata.current_snapshot_id
    if any(m.content is not ManifestContent.DATA for m in manifests_of(table, current)):
        return False
    return types == column_types(schema)


def _copy(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    sql: str,
    given: Mapping[str, datetime] | None,
) -> DataFile:
    schema = table.schema()
    uri = table.location_provider().new_data_location(f"{uuid.uuid4()}.parquet")
    path = Path(local_path(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = ", ".join(f"{quoted(f.name)}: {f.field_id}" for f in schema.fields)
    connection.execute(
        f"copy ({_in_order(schema, sql)}) to {literal(str(path))} "
        f"(format parquet, row_group_size {_ROW_GROUP}, field_ids {{{ids}}}, {_encoding(table)})",
        given,
    )
    footer = pq.read_metadata(path)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=uri,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=path.stat().st_size,
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _encoding(table: Table) -> str:
    """Dictionaries take half of the time of writing: only where files are to be small."""
    codec = table.properties.get(_COMPRESSION, "zstd")
    fast = "parquet_version v2, dictionary_size_limit 1, " if codec == "snappy" else ""
    return f"{fast}compression {codec}"


def _in_order(schema: Schema, sql: str) -> str:
    return f"select {', '.join(quoted(f.name) for f in schema.fields)} from ({sql}) as written"


def _commit(table: Table, written: DataFile, mode: Mode, properties: Mapping[str, str]) -> None:
    transaction = SteadyTransaction(table)
    if mode == "append" or table.metadata.current_snapshot_id is None:
        with _AppendFile(Operation.APPEND, transaction, table.io) as append:
            append.append_data_file(written)
    else:
        with _ReplaceFiles(Operation.OVERWRITE, transaction, table.io) as replace:
            for manifest in manifests_of(table, table.metadata.current_snapshot_id):
                for entry in entries_of(table, manifest):
                    replace.replaced.append(entry)
                    replace.delete_data_file(entry.data_file)
            replace.append_data_file(written)
    transaction.set_properties(dict(properties))
    transaction.forget_snapshots(MOST_SNAPSHOTS)
    transaction.commit_transaction()


class _AppendFile(_MergeAppendFiles):
    """A snapshot with a file more than the table had when the file's rows were computed."""

    def _refresh_for_retry(self) -> None:
        raise CommitFailedException("another writer came first")


class _ReplaceFiles(_SnapshotProducer["_ReplaceFiles"]):
    """A snapshot in which new files take the place of all that were there.

    pyiceberg's own overwrite reads every manifest three times, and keeps those that only say which
    files went before, one more each time.
    """

    def __init__(self, operation: Operation, transaction: Transaction, io: FileIO) -> None:
        super().__init__(operation, transaction, io)
        self.replaced: list[ManifestEntry] = []

    def _validate_concurrency(self) -> None:
        """The catalog refuses the commit where another writer came first."""

    def _refresh_for_retry(self) -> None:
        raise CommitFailedException("another writer came first")

    def _existing_manifests(self) -> list[ManifestFile]:
        return []

    def _deleted_entries(self) -> list[ManifestEntry]:
        return [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.DELETED,
                snapshot_id=self._snapshot_id,
                sequence_number=entry.sequence_number,
                file_sequence_number=entry.file_sequence_number,
                data_file=entry.data_file,
            )
            for entry in self.replaced
        ]


class SteadyTransaction(Transaction):
    """A transaction that does not copy the table's metadata each time that it looks something up.

    pyiceberg does so dozens of times a commit; nobody writes to what is handed out.
    """

    _seen: tuple[tuple[TableUpdate, ...], TableMetadata] | None = None

    def forget_snapshots(self, most: int) -> None:
        """Drop the older half of the snapshots where there are more.

        Every one of them is written and read again at each commit; the log tells what has been.
        """
        known = self._table.metadata.snapshots
        if len(known) <= most:
            return
        held = {ref.snapshot_id for ref in self._table.metadata.refs.values()}
        oldest = sorted(known, key=lambda s: s.sequence_number or 0)[: len(known) - most // 2]
        ids = [s.snapshot_id for s in oldest if s.snapshot_id not in held]
        self._stage((RemoveSnapshotsUpdate.model_validate({"snapshot-ids": ids}),))

    def require(self, requirement: TableRequirement) -> None:
        """Let the commit fail where something does not hold."""
        self._stage((), (requirement,))

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata with the updates so far."""
        if not self._updates:
            return self._table.metadata
        if self._seen is None or self._seen[0] is not self._updates:
            self._seen = (self._updates, update_table_metadata(self._table.metadata, self._updates))
        return self._seen[1]
