"""Rows that are written as they come, in files of bounded size, as one snapshot."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Transaction

from lakehouse.pyiceberg_internals import (
    append_snapshot,
    check_columns,
    delete_all,
    file_io,
    write_files,
)

#: Bytes of rows in memory that go into one file.
_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class RowStream:
    """Rows that can be read again and again, a batch at a time.

    Attributes:
        schema: of the rows; fields that are not nullable become required columns.
        batches: reads them from the first on.
    """

    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]


def append_stream(transaction: Transaction, rows: RowStream, *, replace: bool) -> None:
    """Add rows to a table, in place of all that it has or beside them.

    pyiceberg's own append of a stream hands all of it to its threads at once, and takes no stream
    for a partitioned table. Files of a stream that breaks off are removed.
    """
    check_columns(transaction, rows.schema)
    if replace:
        delete_all(transaction)
    written = write_stream(transaction, rows)
    try:
        with append_snapshot(transaction) as append:
            for file in written:
                append.append_data_file(file)
    except BaseException:
        _remove(transaction, written)
        raise


def write_stream(transaction: Transaction, rows: RowStream) -> list[DataFile]:
    """Write rows as data files of a table, which no commit names yet.

    Files of a stream that breaks off are removed.
    """
    check_columns(transaction, rows.schema)
    counter, written, name = itertools.count(), list[DataFile](), uuid.uuid4()
    try:
        for chunk in _chunks(rows):
            written += write_files(transaction, chunk, name, counter)
    except BaseException:
        _remove(transaction, written)
        raise
    return written


def _remove(transaction: Transaction, files: Sequence[DataFile]) -> None:
    for file in files:
        file_io(transaction).delete(file.file_path)


def _chunks(rows: RowStream) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in rows.batches():
        held.append(batch)
        size += batch.nbytes
        if size >= _FILE_BYTES:
            yield pa.Table.from_batches(held, rows.schema)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held, rows.schema)
