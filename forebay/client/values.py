"""Values that a caller has, as JSON carries them to the server."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from feature_specs.errors import DataError

#: Integers beyond these are sent as text: few JSON readers take them as numbers.
_LEAST, _GREATEST = -(2**63), 2**64 - 1
_PLAIN = frozenset({str, bool, type(None)})
_WHOLE = "send whole microseconds"
#: pandas' own marks of a missing value.
_MISSING = ("NAType", "NaTType")


class Frame(Protocol):
    """A frame of pandas or polars, or a table of Arrow."""

    def __getitem__(self, name: Any, /) -> Any: ...


#: A sequence a name, which is a list, a tuple, or a column of pandas, polars, NumPy or Arrow; or a
#: whole frame of such columns.
Columns: TypeAlias = Mapping[str, Any] | Frame


def sendable_columns(columns: Columns, field: str) -> dict[str, list[Any]]:
    """Entities as lists of JSON values.

    Args:
        field: where they are sent, for errors.

    Raises:
        DataError: a column is not a sequence, or a value cannot be sent exactly.
    """
    return {
        name: _sendable(_listed(column, name, field), name, field)
        for name, column in _by_name(columns, field)
    }


def _by_name(columns: Any, field: str) -> Iterator[tuple[str, Any]]:
    if isinstance(columns, Mapping):
        names: Iterable[Any] = columns
    elif hasattr(columns, "column_names"):  # Arrow: its `columns` have no names
        names = columns.column_names
    elif hasattr(columns, "columns"):
        names = columns.columns
    else:
        raise DataError(
            f"{field} are {type(columns).__name__}, not columns by name",
            where=field,
            hint='send {"key": [value, ...]}, or a frame',
        )
    for name in names:
        yield str(name), columns[name]


def sendable_request(values: Mapping[str, Any]) -> dict[str, Any]:
    """Request values, a sequence or one value for all entities, as JSON values. Raises DataError."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        if _is_column(value):
            made[name] = _sendable(_listed(value, name, "request"), name, "request")
        else:
            made[name] = _sendable([value], name, "request")[0]
    return made


def _is_column(value: Any) -> bool:
    return isinstance(value, list | tuple | range) or (
        hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)
    )


def _listed(column: Any, name: str, field: str) -> Sequence[Any]:
    if isinstance(column, list | tuple | range):
        return column
    package = type(column).__module__.partition(".")[0]
    if package == "numpy":
        return _of_numpy(column, name, field)
    if package == "pandas" and column.dtype.kind != "f":
        # Texts that are missing are NaN in pandas; among its floats that may be a value.
        gone = column.isna()
        return [None if no else value for value, no in zip(column.tolist(), gone, strict=True)]
    for method in ("to_pylist", "to_list", "tolist"):  # Arrow, polars and pandas
        if hasattr(column, method):
            return list(getattr(column, method)())
    raise DataError(
        f"{name!r} is {type(column).__name__}, not a list of values",
        where=f"{field}.{name}",
        hint=f'send {{"{name}": [value, ...]}}, one value an entity',
    )


def _of_numpy(column: Any, name: str, field: str) -> list[Any]:
    if column.dtype.kind == "M" and column.dtype.str[1:] != "M8[D]":  # those are dates
        # NumPy's own list has numbers for times of nanoseconds.
        times = column.astype("datetime64[us]")
        finer = (times.astype(column.dtype) != column) & (column == column)  # NaT equals nothing
        if finer.any():
            raise _refused(column[finer][0], name, field, _WHOLE)
        column = times
    return list(column.tolist())


def _sendable(values: Sequence[Any], name: str, field: str) -> list[Any]:
    kinds = set(map(type, values))
    if kinds <= _PLAIN:
        return list(values)
    if kinds == {int} and min(values) >= _LEAST and max(values) <= _GREATEST:
        return list(values)
    return [_one(value, name, field) for value in values]


def _one(value: Any, name: str, field: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if _LEAST <= value <= _GREATEST else str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise _refused(value, name, field, "JSON has no such number; send None for a null")
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        if getattr(value, "nanosecond", 0):
            raise _refused(value, name, field, _WHOLE)
        return datetime.isoformat(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a NumPy scalar
        return _one(value.item(), name, field)
    raise _refused(value, name, field, "send a number, text, a boolean, a date or a time")


def _refused(value: Any, name: str, field: str, hint: str) -> DataError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return DataError(f"{name!r} cannot be {shown}", where=f"{field}.{name}", hint=hint)
