"""Writing the rows of a query to Iceberg in one commit, by DuckDB's own Parquet writer.

DuckDB writes a file on all threads without a detour through Arrow; the commit then names it, with
the bounds that its footer holds. Tables that are new or change their columns, types that either
side spells otherwise, and partitioned tables go through Arrow. A file for an object store is
written to a temporary folder and uploaded from there.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import (
    DataFileStatistics,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
)
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record

from feature_specs.errors import DataError
from feature_specs.quote import literal, quoted
from lakehouse.commit import (
    TABLE_PROPERTIES,
    BeforeCommit,
    Columns,
    Mode,
    OvertakenError,
    commit_rows,
)
from lakehouse.data_files.infinite_times import without_bounds
from lakehouse.data_files.manifests import entries_of, manifests_of
from lakehouse.duckdb_types import column_types
from lakehouse.local_path import is_local, local_path
from lakehouse.plans import instants_of
from lakehouse.pyiceberg_internals import AppendFile, ReplaceFiles, SteadyTransaction

#: Of a feature table or its log; beyond, older ones are dropped.
MOST_SNAPSHOTS = 100

_UPLOAD_BYTES = 8 << 20

#: Of a snapshot: the living rows. Its own totals count those that position deletes take out, and
#: these deletes where they speak of files that are no longer there.
ROWS_PROPERTY = "forebay.rows"

#: Rows of a data file, about: 16 row groups. A file is what is rewritten when its rows have died.
FILE_ROWS = 1_048_576

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
    if table is None or not may_copy(table, types):
        rows = connection.sql(sql, params=given).to_arrow_table()

        def commit_arrow() -> int:
            try:
                commit_rows(
                    catalog, identifier, rows, mode=mode, columns=columns,
                    properties=properties, base=BeforeCommit(table),
                )  # fmt: skip
            except OvertakenError:
                raise overtaken(identifier) from None
            return int(rows.num_rows)

        return commit_arrow
    written = write_file(connection, table, sql, given)

    def commit_file() -> int:
        try:
            _commit(table, written, mode, properties)
        except CommitFailedException:
            for file in written:
                table.io.delete(file.file_path)
            raise overtaken(identifier) from None
        return sum(int(file.record_count) for file in written)

    return commit_file


class OvertakenTableError(DataError):
    """Another writer committed to a table before its new rows were."""


def overtaken(identifier: str) -> OvertakenTableError:
    """The error of a commit that came second."""
    return OvertakenTableError(
        "another build committed first, and these rows were computed from the table before it",
        where=f"table {identifier}",
        hint="build one view in one place at a time, and run it again",
    )


def may_copy(table: Table, types: Mapping[str, str]) -> bool:
    """Whether DuckDB may write a file of the table by itself.

    Args:
        types: DuckDB's types of the columns that are to be written.
    """
    return table.spec().is_unpartitioned() and may_copy_columns(table, types)


def may_copy_columns(table: Table, types: Mapping[str, str]) -> bool:
    """Whether DuckDB spells the values of a table's columns as Iceberg does."""
    schema = table.schema()
    if any(f.required or not f.field_type.is_primitive for f in schema.fields):
        return False
    return types == column_types(schema)


def write_file(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    sql: str,
    given: Mapping[str, datetime] | None = None,
    partition: Record | None = None,
) -> list[DataFile]:
    """Write the rows of a query as data files of a table, which no commit names yet.

    A file has at most about FILE_ROWS rows; of no rows there is none, unless the table is empty.

    Args:
        partition: the one that all rows are of, in a partitioned table.
    """
    schema = table.schema()
    uri = table.location_provider().new_data_location(str(uuid.uuid4()))
    with local_folder(uri) as home:
        try:
            copy_rows(connection, table, _in_order(schema, sql), given, home)
        except BaseException:
            # A disk that is full is not to stay so.
            shutil.rmtree(home, ignore_errors=True)
            raise
        paths = sorted(home.glob("*.parquet"))
        files = [data_file_of(table, f"{uri}/{path.name}", path, partition) for path in paths]
        kept = [f for f in files if f.record_count] or files[:1]
        for path, file in zip(paths, files, strict=True):
            if file in kept and not is_local(uri):
                upload(table, path, file.file_path)
            elif file not in kept:
                path.unlink()
    return kept


@contextmanager
def local_folder(uri: str) -> Iterator[Path]:
    """A folder that is not there yet, at a URI, or a temporary one if that is remote."""
    if is_local(uri):
        home = Path(local_path(uri))
        home.parent.mkdir(parents=True, exist_ok=True)
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="forebay") as folder:
        yield Path(folder) / "rows"


def upload(table: Table, path: Path, uri: str) -> None:
    """Bring a written file to where the table has its files."""
    with path.open("rb") as written, table.io.new_output(uri).create(overwrite=True) as store:
        shutil.copyfileobj(written, store, _UPLOAD_BYTES)


def copy_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    sql: str,
    given: Mapping[str, datetime] | None,
    home: Path,
    partition: str | None = None,
) -> None:
    """Write a query's rows as Parquet files of the table into a folder.

    Args:
        partition: a further column; the rows of each of its values go to a folder ``partition=value``.
    """
    ids = ", ".join(f"{quoted(f.name)}: {f.field_id}" for f in table.schema().fields)
    split = f"row_groups_per_file {FILE_ROWS // int(_ROW_GROUP)}"
    if partition is not None:
        split = f"partition_by ({quoted(partition)}), write_partition_columns false"
    connection.execute(
        f"copy ({sql}) to {literal(str(home))} (format parquet, {split}, "
        f"row_group_size {_ROW_GROUP}, field_ids {{{ids}}}, {_encoding(table)})",
        given,
    )


def data_file_of(table: Table, uri: str, path: Path, partition: Record | None = None) -> DataFile:
    """The entry of a file of rows, with the bounds that its footer holds."""
    schema = table.schema()
    footer = pq.read_metadata(path)
    try:
        statistics = _statistics(footer, schema, table.properties)
    except OverflowError:
        bare = without_bounds(schema_to_pyarrow(schema))
        statistics = _statistics(footer, schema, table.properties | bare)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=uri,
        file_format=FileFormat.PARQUET,
        partition=partition or Record(),
        file_size_in_bytes=path.stat().st_size,
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _statistics(
    footer: pq.FileMetaData, schema: Schema, properties: Mapping[str, str]
) -> DataFileStatistics:
    return data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, dict(properties)),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )


def _encoding(table: Table) -> str:
    """Dictionaries take half of the time of writing: only where files are to be small."""
    codec = table.properties.get(_COMPRESSION, "zstd")
    fast = "parquet_version v2, dictionary_size_limit 1, " if codec == "snappy" else ""
    return f"{fast}compression {codec}"


def _in_order(schema: Schema, sql: str) -> str:
    return f"select {', '.join(quoted(f.name) for f in schema.fields)} from ({sql}) as written"


def _commit(
    table: Table, written: Sequence[DataFile], mode: Mode, properties: Mapping[str, str]
) -> None:
    transaction = SteadyTransaction(table)
    stage_files(transaction, table, written, mode)
    transaction.set_properties(dict(properties))
    transaction.forget_snapshots(MOST_SNAPSHOTS)
    transaction.commit_transaction()


def stage_files(
    transaction: Transaction, table: Table, written: Sequence[DataFile], mode: Mode
) -> int:
    """Make files a part of a transaction, beside all that the table has or in its place.

    Returns the id of the snapshot. The commit fails if another writer comes first.
    """
    if mode == "append" or table.metadata.current_snapshot_id is None:
        with AppendFile(Operation.APPEND, transaction, table.io) as append:
            for file in written:
                append.append_data_file(file)
        return append.snapshot_id
    with ReplaceFiles(Operation.OVERWRITE, transaction, table.io) as replace:
        for manifest in manifests_of(table, table.metadata.current_snapshot_id):
            for entry in entries_of(table, manifest):
                if manifest.content == ManifestContent.DATA:
                    replace.replaced.append(entry)
                replace.delete_data_file(entry.data_file)
        for file in written:
            replace.append_data_file(file)
    return replace.snapshot_id
