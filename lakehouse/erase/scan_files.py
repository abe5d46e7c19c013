"""Search every file in a table's folders for an entity, referenced by metadata or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import read_manifest_list
from pyiceberg.table import Table

from feature_specs.errors import DataError
from feature_specs.quote import quoted
from lakehouse.drop_table import own_folders
from lakehouse.erase.match_rows import CONTENT, Entity
from lakehouse.maintain.stored_files import FileStore, store_of


@dataclass(frozen=True)
class Remaining:
    """Files that still hold the entity.

    Attributes:
        rows: of it in each file, by name.
        unread: files that could not be looked into, by name: why.
        files: how many were looked into.
    """

    rows: dict[str, int]
    unread: dict[str, str]
    files: int


def scan_files(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    table: Table,
    entity: Entity,
    set_aside: str | None = None,
) -> Remaining:
    """Search each Parquet file in a table's folders.

    It reads each file by its own columns, apart from what rewrote them.

    Args:
        name: of the table.
        set_aside: of a table whose rows do not have the entity in columns of their own, SQL that holds for the entity's rows.
    """
    store = store_of(table.io, table.location())
    rows: dict[str, int] = {}
    unread: dict[str, str] = {}
    files = 0
    wanted = {
        field.field_id: (field.name, key)
        for key, column in (entity.columns_in(name, table.schema()) or {}).items()
        for field in table.schema().fields
        if field.name == column
    }
    for file in _parquet(store, table):
        files += 1
        try:
            uri = store.uri_of(file)
            if set_aside is None:
                found = _rows_in(connection, table.io, uri, wanted, entity)
            else:
                found = _set_aside_in(connection, table, uri, set_aside)
        except (OSError, ValueError, duckdb.Error) as error:
            unread[file] = str(error).splitlines()[0]
            continue
        if found:
            rows[file] = found
    return Remaining(rows, unread, files)


def _parquet(store: FileStore, table: Table) -> Iterator[str]:
    seen: set[str] = set()
    for folder in own_folders(table):
        for file in store.files(folder):
            if PurePath(file.name).suffix == ".parquet" and file.name not in seen:
                seen.add(file.name)
                yield file.name


def _rows_in(
    connection: duckdb.DuckDBPyConnection,
    io: FileIO,
    uri: str,
    wanted: dict[int, tuple[str, str]],
    entity: Entity,
) -> int:
    with io.new_input(uri).open() as opened:
        file = pq.ParquetFile(opened)
        columns = _columns_of(file, wanted)
        if columns is None:
            return 0
        keys = file.read(columns=list(columns))
    connection.register("forebay_left", keys)
    same = " and ".join(
        f"{quoted(column)} = try_cast($k{place} as {_type_of(connection, column)})"
        for place, column in enumerate(columns)
    )
    values = {f"k{place}": entity.values[key] for place, key in enumerate(columns.values())}
    sql = f"select count(*) from forebay_left where {same}"
    found = connection.execute(sql, values).fetchall()
    connection.unregister("forebay_left")
    return int(found[0][0])


def _set_aside_in(
    connection: duckdb.DuckDBPyConnection, table: Table, uri: str, predicate: str
) -> int:
    with table.io.new_input(uri).open() as opened:
        file = pq.ParquetFile(opened)
        rows = file.read(columns=[CONTENT] if CONTENT in file.schema_arrow.names else None)
    # Columns that the table gained after the file was written.
    for field in schema_to_pyarrow(table.schema(), include_field_ids=False):
        if field.name not in rows.column_names:
            rows = rows.append_column(field.name, pa.nulls(rows.num_rows, field.type))
    connection.register("forebay_left", rows)
    found = connection.execute(f"select count(*) from forebay_left where {predicate}").fetchall()
    connection.unregister("forebay_left")
    return int(found[0][0])


def _columns_of(file: pq.ParquetFile, wanted: dict[int, tuple[str, str]]) -> dict[str, str] | None:
    """The file's names of the key columns, by field id, else by name; None unless it has all."""
    schema = file.schema_arrow
    ids = {int((field.metadata or {}).get(b"PARQUET:field_id", -1)): field.name for field in schema}
    names = {field.name.lower(): field.name for field in schema}
    found = {}
    for field_id, (name, key) in wanted.items():
        column = ids.get(field_id) or names.get(name.lower())
        if column is None:
            return None
        found[column] = key
    return found


def _type_of(connection: duckdb.DuckDBPyConnection, column: str) -> str:
    found = connection.execute(
        f"select typeof({quoted(column)}) from forebay_left limit 1"
    ).fetchall()
    return str(found[0][0]) if found else "varchar"


def names_removed_files(table: Table) -> bool:
    """Whether a manifest of a kept snapshot names files that it took out, with bounds of values.

    Raises:
        DataError: a list of manifests cannot be read.
    """
    for snapshot in table.snapshots():
        try:
            manifests = list(read_manifest_list(table.io.new_input(snapshot.manifest_list)))
        except (OSError, ValueError) as error:
            raise DataError(
                f"a list of manifests cannot be read: {error}",
                where=snapshot.manifest_list,
                hint="restore the file, or expire the snapshot",
            ) from None
        if any(m.deleted_files_count for m in manifests):
            return True
    return False
