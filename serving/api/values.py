"""Values that a caller sends: key tuples and request values, coerced to their declared types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feature_specs.catalog import Column, ViewEntry
from feature_specs.errors import DataError
from feature_specs.names import fold_name
from serving.api.errors import InvalidRequestError
from serving.api.request import LookupRequest
from serving.keys import Coercer, coercer
from serving.read_time.casts import to_float32
from serving.sql_types import parse_type


def column_of(request: LookupRequest, view: ViewEntry, column: Column, kind: str) -> list[Any]:
    """The values sent for a column. Raises InvalidRequestError if there are none; names it."""
    values = request.given.get(fold_name(column.name))
    if values is None:
        place = "entities" if kind == "entity" else "request_context"
        raise InvalidRequestError(
            f"{kind} {column.name!r} of {view.name} is missing",
            where=place,
            mend=f'send "{place}": {{"{column.name}": [{column.type} values]}}',
        )
    return values


def request_coercer(column: Column) -> Coercer:
    """The function from a JSON value to a request value; unlike keys these may be floats."""
    declared = parse_type(column.type)
    if not declared.is_float:
        return coercer(column)
    narrow = to_float32 if declared.name == "FLOAT" else float

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(
                f"request value {column.name!r} is {column.type}, not {str(value)[:40]!r}",
                where=f"request_context.{column.name}",
                mend="send a JSON number",
            )
        return narrow(value)

    return coerce


def coerce_columns(
    coercers: Sequence[Coercer], columns: Sequence[Sequence[Any]]
) -> list[list[Any]]:
    """Each column's values in their declared types. Raises DataError; names the column."""
    return [list(map(c, values)) for c, values in zip(coercers, columns, strict=True)]
