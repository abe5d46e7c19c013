"""The answer to a lookup: a vector of features an entity, as dicts, Arrow, pandas or polars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from forebay.client.decode import Decoder

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True)
class Absent:
    """An entity that has no features of a view, all of which are null for it.

    Attributes:
        row: index of the entity among those asked.
        status: ``NOT_FOUND``, or ``OUTSIDE_MAX_AGE`` where its row is older than the view's ttl, or
            the view staler than it may be, or ``UNAVAILABLE`` where it did not come within the budget.
    """

    row: int
    view: str
    status: str


class Vectors:
    """The features of some entities, an entity a row, in the order asked.

    Attributes:
        features: names as ``view__feature``, in the order of the service or of the call.
        types: DuckDB's type of each feature.
        absent: the entities that have no features of a view.
        ages: of each view its age in seconds, where they were asked; of several requests' the
            greatest.
        deprecated: since when a view that was read is, the earliest date of several, which may lie
            ahead; None where none is.
    """

    def __init__(
        self,
        features: Sequence[str],
        types: Sequence[str],
        rows: Sequence[Sequence[Any]],
        absent: Sequence[Absent],
        ages: Mapping[str, float],
        decoder: Decoder,
    ) -> None:
        self.features = tuple(features)
        self.types = dict(zip(features, types, strict=True))
        self.absent = tuple(absent)
        self.ages = dict(ages)
        self.deprecated: datetime | None = None
        self._rows = rows
        self._decoder = decoder

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<Vectors: {len(self)} x {len(self.features)} features>"

    def to_dicts(self) -> list[dict[str, Any]]:
        """A dict of features an entity."""
        return [
            dict(zip(self.features, row, strict=True)) for row in self._decoder.rows(self._rows)
        ]

    def to_dict(self) -> dict[str, list[Any]]:
        """A list of values a feature, each with one an entity."""
        return {
            name: list(column) for name, column in zip(self.features, self._columns, strict=True)
        }

    def to_arrow(self) -> pa.Table:
        """A table with a typed column a feature.

        Raises:
            DataError: a HUGEINT has more than 38 digits, which no type of Arrow that others read
                has.
        """
        from forebay.client.frames import arrow_table

        return arrow_table(self.types, self._columns)

    def to_pandas(self) -> pd.DataFrame:
        """A frame of pandas' Arrow types: its own would make floats of integers beside nulls."""
        from forebay.client.frames import pandas_frame

        return pandas_frame(self.to_arrow())

    def to_polars(self) -> pl.DataFrame:
        """A polars frame, from the Arrow table."""
        from forebay.client.frames import polars_frame

        return polars_frame(self.to_arrow())

    @cached_property
    def _columns(self) -> list[Sequence[Any]]:
        return self._decoder.columns(self._rows)
