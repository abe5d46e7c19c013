"""What the columns of a training set hold, from one pass over its batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from forebay.show import html_table, text_table

_HEADER = ("column", "type", "rows", "nulls", "min", "max", "mean")


@dataclass
class ColumnSummary:
    """A column of a training set.

    Attributes:
        nulls: how many of its rows are null.
        min, max: None where Arrow orders nothing: lists, structs, maps, durations.
        mean: of numbers; NaN counts as it does everywhere.
    """

    name: str
    type: str
    rows: int = 0
    nulls: int = 0
    min: Any = None
    max: Any = None
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """The mean of a column of numbers that has any."""
        known = self.rows - self.nulls
        return self.total / known if known and self._is_number else None

    _is_number: bool = False

    def add(self, column: pa.Array) -> None:
        """Count a batch's values."""
        self.rows += len(column)
        self.nulls += column.null_count
        if column.null_count == len(column):
            return
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        self._is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        self._is_number |= pa.types.is_decimal(kind)
        if self._is_number:
            self.total += float(pc.sum(column.cast(pa.float64())).as_py())
        try:
            ends = pc.min_max(column).as_py()
        except pa.ArrowNotImplementedError:
            return  # lists, structs, durations and the like
        self.min = ends["min"] if self.min is None else min(self.min, ends["min"])
        self.max = ends["max"] if self.max is None else max(self.max, ends["max"])


class Description(tuple[ColumnSummary, ...]):
    """Summaries of columns, shown as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return text_table(self._cells(), _HEADER)

    def _repr_html_(self) -> str:
        return html_table(self._cells(), _HEADER)

    def _cells(self) -> list[tuple[object, ...]]:
        return [
            (
                c.name,
                c.type,
                c.rows,
                c.nulls,
                *("" if v is None else v for v in (c.min, c.max, c.mean)),
            )
            for c in self
        ]


def describe_batches(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Description:
    """Rows, nulls, least, greatest and mean of each column."""
    found = [ColumnSummary(field.name, str(field.type)) for field in schema]
    for batch in batches:
        for summary, column in zip(found, batch.columns, strict=True):
            summary.add(column)
    return Description(found)
