"""Write the rows of a Spark query as a table's data files, in Spark's Python workers.

No commit names the files yet: what is known of them comes back, and this process commits them as it
commits its own. Workers import this module, so that forebay has to be installed where they run.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from pyiceberg.manifest import DataFile

from feature_specs.time_zones import SESSION_AT_UTC
from lakehouse.write_arrow import DetachedTable, gather, write_arrow

#: The columns that `StageRows` gives, in Spark's words.
STAGED = "file binary"

#: Bytes of rows in memory that become one file, or one of each partition.
_CHUNK_BYTES = 256 << 20


@dataclass(frozen=True)
class StageRows:
    """What ``mapInArrow`` is given: writes a task's rows, and gives the files.

    Files of a task that failed, or of one that Spark ran twice, are named by no commit;
    `forebay maintain` removes them.
    """

    table: DetachedTable

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = self.table.open()
        with duckdb.connect() as connection:
            connection.execute(SESSION_AT_UTC)
            for rows in gather(batches, _CHUNK_BYTES):
                yield staged(write_arrow(connection, table, rows))


def staged(files: Iterable[DataFile]) -> pa.RecordBatch:
    """Files as rows that Spark hands on."""
    return pa.RecordBatch.from_pydict(
        {"file": pa.array([pickle.dumps(file) for file in files], pa.binary())}
    )


def files_of(found: pa.Table) -> list[DataFile]:
    """The files that Spark has handed on."""
    # Written by our own workers a moment ago, over Spark's own connection.
    return [pickle.loads(told) for told in found["file"].to_pylist()]
