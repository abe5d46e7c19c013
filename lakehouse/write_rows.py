"""Writing the rows of a query to Iceberg in one commit, by DuckDB's own Parquet writer.

DuckDB writes a file on all threads without a detour through Arrow; the commit then names it, with
the bounds that its footer holds. Tables that are new or change their columns, types that either
side spells otherwise, and warehouses on other than a local disk go through Arrow.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlparse

import duckdb
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import TableUpdate, update_table_metadata
from pyiceberg.typedef import Record

from lakehouse.commit import TABLE_PROPERTIES, Columns, Mode, commit_rows
from lakehouse.lake import local_path
from lakehouse.plans import instants_of
from lakehouse.scan import column_types, data_files, manifests_of

_ROW_GROUP = TABLE_PROPERTIES["write.parquet.row-group-limit"]


def commit_query(
    connection: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    identifier: str,
    sql: str,
    *,
    at: datetime,
    mode: Mode,
    columns: Columns,
    properties: Mapping[str, str],
    table: Table | None,
) -> int:
    """Append the rows of a query to a table, or make them its whole content, in one commit.

    Returns how many rows that are.

    Args:
        sql: parameter ``$as_of``, which is ``at``.
        columns: whether the table may gain or lose columns.
        properties: table properties to set.
        table: the table as it was last loaded; None where there is none.

    Raises:
        DataError: a column has changed its type, or other writers won every one of the tries.
    """
    given = instants_of(sql, at) or None
    if table is not None and _may_copy(connection, table, sql, given):
        written = _copy(connection, table, sql, given)
        try:
            _commit(table, written, mode, properties)
            return int(written.record_count)
        except CommitFailedException:
            # Another writer came first: once more from the table as it stands now.
            Path(local_path(written.file_path)).unlink()
    rows = connection.sql(sql, params=given).to_arrow_table()
    commit_rows(catalog, identifier, rows, mode=mode, columns=columns, properties=properties)
    return int(rows.num_rows)


def set_properties(table: Table, properties: Mapping[str, str]) -> None:
    """Commit table properties alone."""
    with SteadyTransaction(table) as change:
        change.set_properties(dict(properties))


def _may_copy(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    sql: str,
    given: Mapping[str, datetime] | None,
) -> bool:
    if urlparse(table.location()).scheme not in ("", "file") or not table.spec().is_unpartitioned():
        return False
    schema = table.schema()
    if any(f.required or not f.field_type.is_primitive for f in schema.fields):
        return False
    current = table.metadata.current_snapshot_id
    if any(m.content is not ManifestContent.DATA for m in manifests_of(table, current)):
        return False
    made = connection.execute(f"describe {sql}", given).fetchall()
    return {name: kind for name, kind, *_ in made} == column_types(schema)


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
    ids = ", ".join(f"{_quoted(f.name)}: {f.field_id}" for f in schema.fields)
    connection.execute(
        f"copy ({_in_order(schema, sql)}) to '{str(path).replace(chr(39), chr(39) * 2)}' "
        f"(format parquet, compression zstd, row_group_size {_ROW_GROUP}, field_ids {{{ids}}})",
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


def _in_order(schema: Schema, sql: str) -> str:
    return f"select {', '.join(_quoted(f.name) for f in schema.fields)} from ({sql}) as written"


def _commit(table: Table, written: DataFile, mode: Mode, properties: Mapping[str, str]) -> None:
    current = table.metadata.current_snapshot_id
    with SteadyTransaction(table) as transaction:
        if mode == "append" or current is None:
            with transaction.update_snapshot().merge_append() as append:
                append.append_data_file(written)
        else:
            with transaction.update_snapshot().overwrite() as overwrite:
                for file in data_files(table, current, lambda _: True):
                    overwrite.delete_data_file(file)
                overwrite.append_data_file(written)
        transaction.set_properties(dict(properties))


class SteadyTransaction(Transaction):
    """A transaction that does not copy the table's metadata each time that it looks something up.

    pyiceberg does so dozens of times a commit; nobody writes to what is handed out.
    """

    _seen: tuple[tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata with the updates so far."""
        if not self._updates:
            return self._table.metadata
        if self._seen is None or self._seen[0] is not self._updates:
            self._seen = (self._updates, update_table_metadata(self._table.metadata, self._updates))
        return self._seen[1]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
