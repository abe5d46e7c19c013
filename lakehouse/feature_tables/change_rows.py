"""Change some rows of a table in one commit whose size is that of the change.

The rows' new values come in a data file, and a file of position deletes says where the old ones
stand, as Iceberg has it (merge on read): every engine reads the table as it is, without a view.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.typedef import Record

from lakehouse.count_rows import set_properties
from lakehouse.feature_tables.key_index import FILE, ROW
from lakehouse.local_path import local_path
from lakehouse.pyiceberg_internals import ChangeFiles, SteadyTransaction
from lakehouse.scan import Pinned
from lakehouse.write_rows import MOST_SNAPSHOTS, ROWS_PROPERTY, overtaken, write_file

#: Columns of a file of position deletes, by the field ids that Iceberg reserves for them.
_PATH_ID, _POSITION_ID = 2147483546, 2147483545
_DELETES = pa.schema(
    [
        pa.field("file_path", pa.string(), False, {"PARQUET:field_id": str(_PATH_ID)}),
        pa.field("pos", pa.int64(), False, {"PARQUET:field_id": str(_POSITION_ID)}),
    ]
)


def change_rows(
    connection: duckdb.DuckDBPyConnection,
    pinned: Pinned,
    changed: str,
    removed: str,
    *,
    rows: int,
    properties: Mapping[str, str],
) -> Callable[[], int]:
    """Write rows to add and which ones to remove. Returns what commits both, and says ``rows``.

    What is returned needs the connection no more, and raises DataError where another writer has
    committed since the table was pinned.

    Args:
        changed: SQL of the rows to add, with all of the table's columns.
        removed: SQL of where the rows to remove stand: FILE, a place in ``pinned.files``, and ROW.
        rows: how many the table has then.
        properties: table properties to set.
    """
    table = pinned.table
    written = write_file(connection, table, changed)
    added = [file for file in written if file.record_count]
    forget([file for file in written if not file.record_count])
    places = connection.sql(
        f"select {FILE}, {ROW} from ({removed}) as removed order by {FILE}, {ROW}"
    ).to_arrow_table()
    deletes = write_deletes(table, _named(pinned.files, places))

    def commit() -> int:
        transaction = SteadyTransaction(table)
        made = [*added, *deletes]
        if not made:
            return set_properties(table, properties)
        try:
            with ChangeFiles(Operation.OVERWRITE, transaction, table.io) as change:
                change.snapshot_properties = {ROWS_PROPERTY: str(rows)}
                change.added_deletes += deletes
                for file in added:
                    change.append_data_file(file)
            transaction.set_properties(dict(properties))
            transaction.forget_snapshots(MOST_SNAPSHOTS)
            transaction.commit_transaction()
        except CommitFailedException:
            forget(made)
            raise overtaken(".".join(table.name())) from None
        return rows

    return commit


def forget(files: Sequence[DataFile]) -> None:
    """Remove files that no commit names."""
    for file in files:
        Path(local_path(file.file_path)).unlink(missing_ok=True)


def _named(files: Sequence[ManifestEntry], places: pa.Table) -> pa.Table:
    uris = pa.array([e.data_file.file_path for e in files], pa.string())
    numbers = places.column(FILE).combine_chunks()
    return pa.table([uris.take(numbers), places.column(ROW)], schema=_DELETES)


def write_deletes(table: Table, places: pa.Table) -> list[DataFile]:
    """A file of position deletes; none where there is nothing to delete.

    Args:
        places: columns ``file_path`` and ``pos``, sorted by both.
    """
    if not places.num_rows:
        return []
    uri = table.location_provider().new_data_location(f"{uuid.uuid4()}-deletes.parquet")
    path = Path(local_path(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(places.cast(_DELETES), path, compression="zstd", use_dictionary=["file_path"])
    return [
        DataFile.from_args(
            content=DataFileContent.POSITION_DELETES,
            file_path=uri,
            file_format=FileFormat.PARQUET,
            partition=Record(),
            record_count=places.num_rows,
            file_size_in_bytes=path.stat().st_size,
            sort_order_id=None,
            spec_id=table.metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
        )
    ]
