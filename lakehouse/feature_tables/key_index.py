"""Find entities' rows in a feature table without reading it, by an index beside each data file.

A data file never changes, so neither does its index: the rows once more, sorted by a hash of their
key, in an Arrow file that is mapped into memory. Ten thousand keys are then as many binary searches,
however many rows there are. Which rows are dead, the table's position deletes say.

An index is a cache: it is made where it is missing, and whoever deletes it loses time only. It
stands in the folder ``index`` of the table, which must be on a local disk.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFileContent, FileFormat, ManifestEntry
from pyiceberg.table import Table

from feature_specs.quote import quoted
from lakehouse.data_files.select_rows import ROW_NUMBER, select_rows
from lakehouse.duckdb_types import column_types
from lakehouse.local_path import local_path
from lakehouse.scan import Pinned

#: Columns that tell where a found row stands: the number of its file among the pinned ones, its row.
FILE, ROW = "fb_file", "fb_row"
_HASH = "fb_hash"

#: Rows of a batch of an index: an entity's hash is sought in one of them.
_BATCH = 122_880

Positions: TypeAlias = npt.NDArray[np.int64]


def find_rows(
    connection: duckdb.DuckDBPyConnection,
    pinned: Pinned,
    keys: Sequence[str],
    touched: str,
    into: str,
) -> None:
    """Fill the temporary table ``into`` with the living rows of the entities in ``touched``.

    Its columns are the table's own, and FILE and ROW.

    Args:
        keys: columns of the table that make an entity.
        touched: a relation with these columns.
    """
    table = pinned.table
    types = column_types(table.schema())
    hashed = _hash_of(keys, types)
    wanted: npt.NDArray[np.uint64] = connection.execute(
        f"select distinct {hashed} as h from {touched} order by h"
    ).fetchnumpy()["h"]
    dead = dead_rows(pinned.deletes)
    empty = _empty(connection, table)
    found = [empty]
    for number, entry in enumerate(pinned.files):
        index = _index_of(connection, table, entry, hashed, pa.schema(list(empty.schema)[:-1]))
        rows = _seek(index, wanted)
        rows = _living(rows, dead, entry.data_file.file_path)
        if rows.num_rows:
            found.append(rows.append_column(FILE, pa.array([number] * rows.num_rows, pa.int32())))
    gathered = pa.concat_tables(found)
    connection.register("forebay_found", gathered)
    named = ", ".join(map(quoted, keys))
    same = " and ".join(f"t.{quoted(k)} = f.{quoted(k)}" for k in keys)
    connection.execute(
        f"create or replace temp table {into} as select * from forebay_found as f "
        f"where exists (select {named} from {touched} as t where {same})"
    )
    connection.unregister("forebay_found")


def is_indexed(pinned: Pinned) -> bool:
    """Whether a table's rows can be found so: its deletes are by position, and it is of one
    partition spec, since a position delete counts for files of its own partition alone."""
    specs = {e.data_file.spec_id for e in (*pinned.files, *pinned.deletes)}
    return specs <= {pinned.table.metadata.default_spec_id} and all(
        e.data_file.content == DataFileContent.POSITION_DELETES
        and e.data_file.file_format == FileFormat.PARQUET
        for e in pinned.deletes
    )


def dead_rows(deletes: Sequence[ManifestEntry]) -> list[Mapping[str, Positions]]:
    """Of each file of position deletes: data file to the rows of it that are dead, sorted."""
    return [_deletes_in(local_path(e.data_file.file_path)) for e in deletes]


@lru_cache(1024)
def _deletes_in(path: str) -> Mapping[str, Positions]:
    rows = pq.read_table(path, columns=["file_path", "pos"]).combine_chunks()
    if not rows.num_rows:
        return {}
    files = rows.column(0).combine_chunks().dictionary_encode()
    files = files.chunk(0) if isinstance(files, pa.ChunkedArray) else files
    numbers = files.indices.to_numpy(zero_copy_only=False)
    positions = rows.column(1).to_numpy()
    order = np.lexsort((positions, numbers))
    numbers, positions = numbers[order], positions[order]
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    names = files.dictionary.to_pylist()
    return {names[numbers[low]]: positions[low:high] for low, high in pairwise(edges)}


def _hash_of(keys: Sequence[str], types: Mapping[str, str]) -> str:
    # Of one type on both sides: DuckDB hashes a value by its type. What does not fit is not a row's.
    return f"hash({', '.join(f'try_cast({quoted(k)} as {types[k]})' for k in keys)})"


def _empty(connection: duckdb.DuckDBPyConnection, table: Table) -> pa.Table:
    sql = f"select *, 0::bigint as {ROW}, 0::int as {FILE} from ({select_rows(table, ())})"
    return connection.sql(sql).to_arrow_table()


def _living(rows: pa.Table, dead: Sequence[Mapping[str, Positions]], file: str) -> pa.Table:
    places = rows.column(ROW).to_numpy()
    gone = np.zeros(len(places), dtype=bool)
    for deletes in dead:
        among = deletes.get(file)
        if among is not None and len(places):
            at = np.minimum(np.searchsorted(among, places), len(among) - 1)
            gone |= among[at] == places
    return rows.filter(pa.array(~gone)) if gone.any() else rows


def _seek(index: pa.Table, wanted: npt.NDArray[np.uint64]) -> pa.Table:
    """The rows whose hash is among the wanted ones, which are sorted."""
    parts = []
    for batch in index.to_batches():
        held = batch.column(0).to_numpy()
        if not len(held):
            continue
        near = wanted[
            np.searchsorted(wanted, held[0], "left") : np.searchsorted(wanted, held[-1], "right")
        ]
        first, last = np.searchsorted(held, near, "left"), np.searchsorted(held, near, "right")
        counts = last - first
        if not counts.any():
            continue
        starts = np.repeat(first, counts)
        within = np.arange(len(starts)) - np.repeat(np.cumsum(counts) - counts, counts)
        parts.append(batch.take(pa.array(starts + within)))
    return pa.Table.from_batches(parts, index.schema).drop_columns([_HASH])


def _index_of(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    entry: ManifestEntry,
    hashed: str,
    columns: pa.Schema,
) -> pa.Table:
    """The index of a data file, made now if it is missing or not what it should be.

    Args:
        columns: of the table as it is now, and ROW; an older file may have been of other types.
    """
    file = Path(local_path(entry.data_file.file_path))
    version = duckdb.__version__  # which settles how a key is hashed
    path = (
        Path(local_path(table.location()))
        / "index"
        / f"{file.parent.name}-{file.stem}-{version}.arrow"
    )
    schema = pa.schema([(_HASH, pa.uint64()), *((f.name, f.type) for f in columns)])
    for _ in range(2):
        try:
            index = _open(str(path))
        except (FileNotFoundError, pa.ArrowInvalid):
            index = None
        rows = entry.data_file.record_count
        if index is not None and index.num_rows == rows and index.schema.equals(schema):
            return index
        _open.cache_clear()
        _write(connection, table, entry, hashed, path)
    return _open(str(path))


@lru_cache(4096)
def _open(path: str) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(path)).read_all()


def _write(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    entry: ManifestEntry,
    hashed: str,
    path: Path,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{uuid.uuid4()}.partial")
    columns = ", ".join(quoted(f.name) for f in table.schema().fields)
    rows = select_rows(table, [entry], numbered=True)
    reader: Any = connection.sql(
        f"select {hashed} as {_HASH}, {columns}, {ROW_NUMBER} as {ROW} from ({rows}) order by {_HASH}"
    ).to_arrow_reader(_BATCH)
    try:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
