"""Record batches of a training set, and features beside the rows that they were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from forebay.training.own_rows import OwnRows, Taker


@dataclass(frozen=True)
class Batches:
    """Iterable of Arrow record batches; each iteration computes the rows anew.

    It is picklable by nothing and shuffles nothing: rows come in the set's own order.

    Attributes:
        size: the most rows of a batch.
    """

    size: int
    start: Callable[[int], Iterator[pa.RecordBatch]]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.start(self.size)


def beside(own: OwnRows, features: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """A caller's columns and the features of the same rows.

    Args:
        features: in the order of the caller's rows.
        rows: how many there are.

    Raises:
        RuntimeError: there are more or fewer features than rows, of which none may be lost.
    """
    taker, done = Taker(own.read(own.names)), 0
    for batch in features:
        done += batch.num_rows
        if done > rows:
            break
        taken = taker.take(batch.num_rows).unify_dictionaries().combine_chunks()
        arrays = [_only(column) for column in taken.columns]
        fields = [*taken.schema, *batch.schema]
        yield pa.RecordBatch.from_arrays([*arrays, *batch.columns], schema=pa.schema(fields))
    if done != rows:
        raise RuntimeError(f"{done} rows of features for {rows} rows of the spine")


def _only(column: pa.ChunkedArray) -> pa.Array:
    """The values of a column as one array."""
    chunk = column.combine_chunks()
    return chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk
