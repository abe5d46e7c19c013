"""A caller's own rows as a spine: their columns as they are, and in Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from feature_specs.errors import DataError, first_line
from lakehouse.ingest.source import check_names

#: What errors call a spine that is not a file.
SPINE = "spine"
#: Rows of a stream that are held at once.
_CHUNK = 65_536


class OwnRows(Protocol):
    """Rows that somebody has in memory or sends as a stream, in their order."""

    @property
    def names(self) -> Sequence[str]:
        """All columns."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def kind(self) -> str:
        """What they are, for a record: ``pandas``, ``polars``, ``arrow``, ``duckdb``."""

    @property
    def given(self) -> Any:
        """What the caller gave, where it holds the rows; None of a stream."""

    def type_of(self, name: str) -> pa.DataType:
        """A column's Arrow type. Raises DataError where it has none."""

    def read(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns, chunk by chunk from the first row on. Raises DataError as `type_of` does."""


@dataclass(frozen=True)
class TableRows:
    """Columns in memory.

    Attributes:
        columns: of each name its values, or why Arrow has no type for them.
    """

    columns: Mapping[str, pa.ChunkedArray | DataError]
    rows: int
    kind: str
    given: Any

    @property
    def names(self) -> Sequence[str]:
        return list(self.columns)

    def type_of(self, name: str) -> pa.DataType:
        return self._column(name).type

    def read(self, names: Sequence[str]) -> Iterator[pa.Table]:
        if names:
            yield pa.table({name: self._column(name) for name in names})

    def _column(self, name: str) -> pa.ChunkedArray:
        column = self.columns[name]
        if isinstance(column, DataError):
            raise column
        return column


@dataclass(frozen=True)
class StreamRows:
    """The rows of a stream, which can be read but once, kept in a file of Arrow's own format."""

    path: Path
    schema: pa.Schema
    rows: int
    kind: str
    given: None = None

    @property
    def names(self) -> Sequence[str]:
        return list(self.schema.names)

    def type_of(self, name: str) -> pa.DataType:
        return self.schema.field(name).type

    def read(self, names: Sequence[str]) -> Iterator[pa.Table]:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch.select(list(names))])


def keep_stream(reader: pa.RecordBatchReader, path: Path, kind: str) -> StreamRows:
    """Write a stream's rows to a file, so that they can be read again.

    Raises:
        DataError: columns have no name, or names that SQL cannot tell apart.
    """
    check_names(reader.schema.names, SPINE)
    rows = 0
    try:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, reader.schema) as writer:
            for batch in reader:
                rows += batch.num_rows
                for start in range(0, batch.num_rows, _CHUNK):
                    writer.write_batch(batch.slice(start, _CHUNK))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"its rows cannot be read: {first_line(error)}",
            where=SPINE,
            hint="see that the stream was not read before",
        ) from None
    return StreamRows(path, reader.schema, rows, kind)


def rows_of_table(table: pa.Table, kind: str, given: Any) -> TableRows:
    """An Arrow table's rows.

    Raises:
        DataError: columns have no name, or names that SQL cannot tell apart.
    """
    check_names(table.column_names, SPINE)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return TableRows(columns, table.num_rows, kind, given)


class Taker:
    """Takes rows off some chunks, so many at a time."""

    def __init__(self, chunks: Iterable[pa.Table]) -> None:
        self._chunks = iter(chunks)
        self._left: pa.Table | None = None

    def take(self, rows: int) -> pa.Table:
        """The next rows.

        Raises:
            ValueError: there are not so many.
        """
        taken = []
        while rows:
            if self._left is None or self._left.num_rows == 0:
                self._left = next(self._chunks, None)
                if self._left is None:
                    raise ValueError(f"{rows} rows too few in the spine")
            part = self._left.slice(0, rows)
            self._left = self._left.slice(part.num_rows)
            rows -= part.num_rows
            taken.append(part)
        return pa.concat_tables(taken)
