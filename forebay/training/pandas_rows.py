"""A pandas frame as a spine: each column in Arrow, or why its values would not come through."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa

from feature_specs.errors import DataError, first_line
from forebay.training.own_rows import SPINE, TableRows
from lakehouse.ingest.source import check_names

if TYPE_CHECKING:
    import pandas as pd

_LISTS = "list"
#: Classes of Python and NumPy to the kind of value that they are; the first that fits counts.
_KINDS: tuple[tuple[str, str], ...] = (
    ("bool", "bool"), ("bool_", "bool"), ("int", "int"), ("integer", "int"), ("float", "float"),
    ("floating", "float"), ("str", "str"), ("bytes", "bytes"), ("bytearray", "bytes"),
    ("datetime64", "datetime64"), ("timedelta64", "timedelta64"), ("list", _LISTS),
    ("tuple", _LISTS), ("ndarray", _LISTS), ("dict", "dict"),
)  # fmt: skip


def rows_of_pandas(frame: pd.DataFrame) -> TableRows:
    """A frame's rows, without its index.

    NaN and NaT in columns of NumPy's types are null, as everywhere in pandas; in Arrow's types NaN
    is a number.

    Raises:
        DataError: a column's name is not text, or SQL cannot tell two of them apart.
    """
    wrong = next((name for name in frame.columns if not isinstance(name, str)), None)
    if wrong is not None:
        raise DataError(
            f"column {wrong!r} of the frame is not named by a text",
            where=SPINE,
            hint="give each column a name: frame.columns = [...]",
        )
    names = [str(name) for name in frame.columns]
    check_names(names, SPINE)
    columns = {name: _column(name, frame.iloc[:, at]) for at, name in enumerate(names)}
    # Under pandas' copy on write no later change of the caller's frame changes this one.
    return TableRows(columns, len(frame), "pandas", frame.copy(deep=False))


def index_hint(frame: Any, name: str) -> str:
    """What to do where a column that is missing is a level of a frame's index; else empty."""
    named = getattr(getattr(frame, "index", None), "names", ())
    return f"{name!r} is in the index: frame.reset_index()" if name in named else ""


def _column(name: str, series: pd.Series[Any]) -> pa.ChunkedArray | DataError:
    if series.empty and series.dtype in (object, float):
        # pandas' own types of a column to which nobody gave one.
        return pa.chunked_array([pa.nulls(0)])
    fault = _fault(series)
    if fault is None:
        try:
            made = pa.array(series, from_pandas=True)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            fault = first_line(error)
        else:
            return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])
    return DataError(
        f"column {name!r} cannot be read: {fault}",
        where=SPINE,
        hint=f"convert it, for example frame[{name!r}].astype(...), or leave it out",
    )


def _fault(series: pd.Series[Any]) -> str | None:
    """Why Arrow would change a column's values or refuse them; None where it does not."""
    values = series
    if hasattr(series, "cat"):
        values = series.cat.categories.to_series()
    elif str(series.dtype).startswith("Sparse"):
        return "it is sparse"
    return _mixed(values) if values.dtype == object else None


def _mixed(values: Iterable[Any]) -> str | None:
    """That values are of several kinds, of which Arrow would make one without a word."""
    present = [value for value in values if not _is_missing(value)]
    kinds = {kind: value for value in present for kind in (_kind(value),)}
    if len(kinds) > 1:
        return f"it holds {' and '.join(sorted(kinds))} values"
    kind = next(iter(kinds), None)
    if kind == _LISTS:
        return _mixed(item for value in present for item in value)
    if kind == "dict":
        fields = dict.fromkeys(field for value in present for field in value)
        found = (_mixed(v[f] for v in present if f in v) for f in fields)
        return next((fault for fault in found if fault), None)
    if any(getattr(value, "nanosecond", 0) for value in present):
        return "it holds times finer than a microsecond as objects"
    if kind == "time with a zone":
        return "it holds times of day with a zone"
    return None


def _is_missing(value: Any) -> bool:
    named = type(value).__name__
    if named.startswith("float"):
        return bool(value != value)
    return value is None or named in ("NAType", "NaTType")


def _kind(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return "datetime" if value.tzinfo is None else "datetime with a zone"
    if isinstance(value, dt.time):
        return "time" if value.tzinfo is None else "time with a zone"
    for kind in (dt.date, dt.timedelta, Decimal, UUID):
        if isinstance(value, kind):
            return kind.__name__
    classes = {each.__name__ for each in type(value).__mro__}
    named: Mapping[str, str] = dict(_KINDS)
    return next((kind for name, kind in named.items() if name in classes), type(value).__name__)
