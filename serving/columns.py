"""From Arrow to stored rows, a column at a time: a value a call would take minutes for millions.

`forebay verify` alone reads by it: `serving.sync` makes the same bytes in SQL, so that what one of
them gets wrong the other tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from feature_specs.catalog import ViewEntry
from feature_specs.errors import DataError, first_line
from feature_specs.sql_types import SqlType, parse_type
from serving.keys import encode_key, key_texts
from serving.rows import encode_float, encoder, header_text, nullable

_FIRST_PADDED_YEAR_US = -30_610_224_000_000_000  # the year 1000: strftime pads no earlier one
_AFTER_PYTHON_US = 253_402_300_800_000_000  # the year 10000


class RowEncoder:
    """Makes (key, row) pairs of a view's rows in Arrow.

    Attributes:
        columns: the columns it reads, in order: keys, event time, stored columns.
        null_keys: rows so far left out because a null in its key makes a row no entity.
    """

    def __init__(self, view: ViewEntry) -> None:
        self._view = view
        self._entities = list(view.keys)
        self._texts = key_texts(view.entities)
        self._stored = [(c.name, parse_type(c.type)) for c in view.stored]
        event_time = [] if view.time_column is None else [view.time_column]
        names = [*self._entities, *event_time, *(name for name, _ in self._stored)]
        self.columns = list(dict.fromkeys(names))
        self.null_keys = 0

    def encode(self, batch: pa.RecordBatch | pa.Table) -> Iterator[tuple[bytes, bytes]]:
        """The (key, row) pairs of a batch that has at least `columns`."""
        batch = self.entities_only(batch)
        keys = self.keys(batch)
        headers = self._headers(batch)
        fragments = [self._fragments(name, kind, batch[name]) for name, kind in self._stored]
        rows = map("\0".join, zip(headers, *fragments, strict=True))
        return zip(keys, map(str.encode, rows), strict=True)

    def _fragments(self, name: str, kind: SqlType, column: Any) -> list[str]:
        try:
            return column_fragments(kind, column)
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"a value of {self._view.spelling(name)!r} cannot be stored online: {first_line(error)}",
                where=self._view.name,
                hint="cap it in the feature's SQL, or cast it to text",
            ) from error

    def entities_only(self, batch: Any) -> Any:
        """The batch without the rows that have a null in their key."""
        whole = None
        for name in self._entities:
            if batch[name].null_count:
                valid = pc.is_valid(batch[name])
                whole = valid if whole is None else pc.and_(whole, valid)
        if whole is None:
            return batch
        kept = batch.filter(whole)
        self.null_keys += batch.num_rows - kept.num_rows
        return kept

    def keys(self, batch: Any) -> list[bytes]:
        """The keys of a batch whose keys hold no null."""
        parts = [
            list(map(text, batch[column].to_pylist()))
            for column, text in zip(self._entities, self._texts, strict=True)
        ]
        return list(map(encode_key, zip(*parts, strict=True)))

    def _headers(self, batch: Any) -> list[str]:
        if self._view.time_column is None:
            return [""] * batch.num_rows
        column = batch[self._view.time_column]
        if column.null_count:
            raise DataError(
                f"a row of {self._view.table} has no {self._view.event_time}",
                where=self._view.name,
                hint="run `forebay build`; a row without event_time is never visible",
            )
        try:
            return event_time_headers(microseconds(column))
        except OverflowError as error:
            raise DataError(
                f"an {self._view.event_time} lies outside the years 1 to 9999",
                where=self._view.name,
                hint="leave such rows out in the view's SQL",
            ) from error


def event_time_headers(axis: Any) -> list[str]:
    """The headers of event times in microseconds since the epoch. Raises OverflowError."""
    bounds = pc.min_max(axis).as_py()
    if bounds["min"] is None:
        return []
    if bounds["min"] < _FIRST_PADDED_YEAR_US or bounds["max"] >= _AFTER_PYTHON_US:
        return list(map(header_text, axis.to_pylist()))
    text = pc.strftime(axis.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%S")
    whole: list[str] = pc.replace_substring(text, ".000000", "").to_pylist()
    return whole


def microseconds(column: Any) -> Any:
    """A timestamp or date column as microseconds since the epoch."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())


def column_fragments(declared: SqlType, column: Any) -> list[str]:
    """The JSON fragments of a column."""
    fast = _FAST.get("INTEGER" if declared.is_integer else declared.name)
    made = fast(column) if fast is not None else None
    if made is None:
        made = map(nullable(encoder(declared)), column.to_pylist())
    return list(made)


def _integers(column: Any) -> Any:
    if not pa.types.is_integer(column.type):
        return None
    return pc.fill_null(column.cast(pa.string()), "null").to_pylist()


def _booleans(column: Any) -> Any:
    return pc.fill_null(column.cast(pa.string()), "null").to_pylist()


def _floats(column: Any) -> Any:
    finite = pc.all(pc.is_finite(column)).as_py()
    if column.null_count or finite is False:
        return map(nullable(encode_float), column.to_pylist())
    return map(float.__repr__, column.to_pylist())


def _texts(column: Any) -> Any:
    encode: Callable[[Any], str] = encode_basestring
    return map(nullable(encode) if column.null_count else encode, column.to_pylist())


def _zoned(column: Any) -> Any:
    return _moments(column, "Z")


def _unzoned(column: Any) -> Any:
    return _moments(column, "")


def _moments(column: Any, suffix: str) -> Any:
    if not pa.types.is_timestamp(column.type):
        return None
    axis = microseconds(column)
    bounds = pc.min_max(axis).as_py()
    if bounds["min"] is None:
        return ["null"] * len(column)
    if bounds["max"] >= _AFTER_PYTHON_US:
        raise DataError(
            "a timestamp lies after the year 9999",
            where="a stored column",
            hint="cap it in the feature's SQL, or store null",
        )
    if bounds["min"] < _FIRST_PADDED_YEAR_US:
        return None
    text = pc.strftime(axis.cast(pa.timestamp("us")), format=f'"%Y-%m-%dT%H:%M:%S{suffix}"')
    return pc.fill_null(text, "null").to_pylist()


_FAST: dict[str, Callable[[Any], Any]] = {
    "INTEGER": _integers,
    "BOOLEAN": _booleans,
    "FLOAT": _floats,
    "DOUBLE": _floats,
    "VARCHAR": _texts,
    "TIMESTAMP": _unzoned,
    "TIMESTAMP WITH TIME ZONE": _zoned,
}
