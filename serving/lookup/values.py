"""Values that a caller sends, as key texts and request values of their declared types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from feature_specs.catalog import Column
from feature_specs.errors import DataError
from feature_specs.sql_types import INTEGER_RANGE, parse_type
from serving.keys import Coercer, coercer, key_texts
from serving.read_time.casts import to_float32
from serving.shown import shown

#: From the values sent for a key column to their texts in keys; None for null.
KeyColumn = Callable[[Sequence[Any]], Sequence[str | None]]


def key_column(column: Column) -> KeyColumn:
    """The function from a column of JSON values to key texts; it raises DataError, as `coercer`.

    A column of one plain type is worked as a whole.
    """
    declared, coerce = parse_type(column.type), coercer(column)
    text = key_texts([column])[0]

    def one_by_one(values: Sequence[Any]) -> Sequence[str | None]:
        return [None if value is None else text(value) for value in map(coerce, values)]

    if declared.is_integer:
        low, high = INTEGER_RANGE[declared.name]

        def integers(values: Sequence[Any]) -> Sequence[str | None]:
            if set(map(type, values)) == {int} and low <= min(values) and max(values) <= high:
                return list(map(str, values))
            return one_by_one(values)

        return integers
    if declared.name == "VARCHAR":

        def texts(values: Sequence[Any]) -> Sequence[str | None]:
            return values if set(map(type, values)) == {str} else one_by_one(values)

        return texts
    return one_by_one


def request_coercer(column: Column, place: str) -> Coercer:
    """The function from a JSON value to a request value; unlike keys these may be floats.

    Args:
        place: the field of the request that it is sent in, for errors.
    """
    declared = parse_type(column.type)
    if not declared.is_float:
        return coercer(column, "request value", place)
    narrow = to_float32 if declared.name == "FLOAT" else float

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(
                f"request value {column.name!r} is {column.type}, not {shown(value)}",
                where=f"{place}.{column.name}",
                hint="send a JSON number",
            )
        return narrow(value)

    return coerce
