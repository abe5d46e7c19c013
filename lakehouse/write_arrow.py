"""Write rows in memory as data files of a table, also where there is no catalog: in an engine's workers."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.types import FixedType

from lakehouse.data_files.infinite_times import without_bounds
from lakehouse.layout import partitions_of, sort_terms
from lakehouse.pyiceberg_internals import write_files
from lakehouse.write_partitions import write_partitions
from lakehouse.write_rows import may_copy_columns, write_file


@dataclass(frozen=True)
class DetachedTable:
    """A table without its catalog, which can be pickled.

    Attributes:
        metadata: Iceberg's, as JSON.
        io: properties of its FileIO, credentials among them.
    """

    name: tuple[str, ...]
    metadata: str
    location: str
    io: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, table: Table) -> DetachedTable:
        """What `open` needs of a table."""
        io = {key: str(value) for key, value in table.io.properties.items()}
        return cls(table.name(), table.metadata.model_dump_json(), table.metadata_location, io)

    def open(self) -> Table:
        """The table, for whoever writes its files; it commits nothing."""
        metadata = TableMetadataUtil.parse_raw(self.metadata)
        io = load_file_io(dict(self.io), metadata.location)
        return Table(self.name, metadata, self.location, io, NoopCatalog("detached"))


def write_arrow(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table
) -> list[DataFile]:
    """Write rows as data files of a table, in its partitions and order; no commit names them yet.

    Args:
        rows: with the table's columns, in its order.
    """
    if not rows.num_rows:
        return []
    schema, sort = table.schema(), sort_terms(table.metadata)
    connection.register("forebay_staged", rows)
    try:
        sql = "select * from forebay_staged" + (f" order by {', '.join(sort)}" if sort else "")
        described = connection.execute(f"describe {sql}").fetchall()
        types = {name: kind for name, kind, *_ in described}
        fixed = any(isinstance(f.field_type, FixedType) for f in schema.fields)
        partitions = partitions_of(table.spec(), schema)
        if fixed or partitions is None or not may_copy_columns(table, types):
            ordered = connection.sql(sql).to_arrow_table() if sort else rows
            return _by_pyiceberg(table, ordered)
        if partitions:
            return write_partitions(connection, table, sql, partitions, sort)
        return write_file(connection, table, sql)
    finally:
        connection.unregister("forebay_staged")


def gather(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """Batches as tables of about so many bytes in memory, each of which is written at once."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            size += batch.nbytes
        if size >= most:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _by_pyiceberg(table: Table, rows: pa.Table) -> list[DataFile]:
    rows = rows.cast(schema_to_pyarrow(table.schema(), include_field_ids=False))
    transaction = table.transaction()
    try:
        return list(write_files(transaction, rows, uuid.uuid4(), itertools.count()))
    except OverflowError:
        transaction.set_properties(without_bounds(rows.schema))
        return list(write_files(transaction, rows, uuid.uuid4(), itertools.count()))
