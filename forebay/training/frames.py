"""Features beside a caller's frame, and as a matrix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_specs.errors import DataError, UnknownNameError, did_you_mean
from forebay.client.frames import pandas_frame, polars_frame

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

#: Integers up to here are doubles too.
_EXACT = 2**53


def beside_pandas(frame: pd.DataFrame, features: pa.Table) -> pd.DataFrame:
    """A frame with features beside its columns, row for row; its index and dtypes are its own."""
    import pandas as pd

    made = pandas_frame(features)
    made.index = frame.index
    return pd.concat([frame, made], axis=1)


def beside_polars(frame: pl.DataFrame, features: pa.Table) -> pl.DataFrame:
    """The same of polars."""
    return frame.hstack(polars_frame(features))


def matrix(
    table: pa.Table, columns: Sequence[str], types: Mapping[str, str]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Columns of numbers and booleans as doubles, a row a row, nulls as NaN.

    An array of a fixed size n takes n columns, so that one alone is a matrix of (rows, n).

    Args:
        types: DuckDB's types of features, which tell the sizes of arrays.

    Raises:
        UnknownNameError: there is no such column.
        DataError: a column holds no numbers, lists that may differ in length, or an integer beyond
            2**53 that no double is.
    """
    for name in columns:
        if name not in table.column_names:
            raise UnknownNameError(
                f"the training set has no column {name!r}",
                where="to_numpy()",
                hint=did_you_mean(name, table.column_names),
            )
    widths = [_width(name, table[name].type, types.get(name, "")) for name in columns]
    out = np.empty((table.num_rows, sum(width or 1 for width in widths)))
    at = 0
    for name, width in zip(columns, widths, strict=True):
        if width is None:
            out[:, at] = _doubles(name, table[name])
        else:
            out[:, at : at + width] = _block(name, table[name], width)
        at += width or 1
    return out


def _width(name: str, kind: pa.DataType, declared: str) -> int | None:
    """The size of an array's column; None of a plain one's."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return None
    size = re.fullmatch(r"[^\[]+\[(\d+)\]", declared)
    if size is None:
        raise DataError(
            f"column {name!r} is {kind}, whose rows may differ in length",
            where="to_numpy()",
            hint="cast it to an array of a fixed size in the view's SQL, such as float[4], or name "
            "the columns that you want: to_numpy(columns=[...])",
        )
    return int(size[1])


def _block(
    name: str, column: pa.ChunkedArray, width: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """An array's column as rows of doubles; a null row is NaN throughout."""
    out = np.full((len(column), width), np.nan)
    # Both kinds of list leave null rows out of what they flatten to.
    whole = pc.list_flatten(column)
    out[column.is_valid().to_numpy()] = _doubles(name, whole).reshape(-1, width)
    return out


def _doubles(name: str, column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    kind = column.type
    whole = pa.types.is_integer(kind)
    if not (
        whole
        or any(t(kind) for t in (pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal))
    ):
        raise DataError(
            f"column {name!r} is {kind}, which is not a number",
            where="to_numpy()",
            hint="name the columns that you want: to_numpy(columns=[...])",
        )
    if whole and len(column) and column.null_count < len(column):
        ends = pc.min_max(column).as_py()
        if ends["min"] < -_EXACT or ends["max"] > _EXACT:
            raise DataError(
                f"column {name!r} holds integers beyond 2**53, of which a double is the nearest",
                where="to_numpy()",
                hint="take them from to_arrow(), or leave the column out",
            )
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_decimal(kind):
        # By its digits: a cast of the decimal may miss the nearest double.
        column = column.cast(pa.string()).cast(pa.float64())
    made: np.ndarray[tuple[int], np.dtype[np.float64]] = column.cast(pa.float64()).to_numpy()
    return made
