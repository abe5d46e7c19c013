"""Rows that are written as they come, in files of bounded size, as one snapshot."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
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
    counter, written = itertools.count(), list[str]()
    try:
        with append_snapshot(transaction) as append:
            for chunk in _chunks(rows):
                for file in write_files(transaction, chunk, append.commit_uuid, counter):
                    written.append(file.file_path)
                    append.append_data_file(file)
    except BaseException:
        for path in written:
            file_io(transaction).delete(path)
        raise


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
