"""Fragments as Python values, for the formats that have types of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import orjson

from feature_specs.sql_types import SqlType
from serving.api.vectors.as_json import joined_rows
from serving.api.vectors.prepared import HUGE, Prepared, columns, has_huge
from serving.lookup.read import Turns, ViewRows
from serving.rows import from_json

#: Values that are parsed at once: more would hold up other requests.
_AT_ONCE = 12_000
#: Types whose JSON values are what both formats take.
_PLAIN = ("BOOLEAN", "VARCHAR")

Value = Callable[[Any], Any]


class ParsedRows(NamedTuple):
    """Rows as parsed JSON, and whether some float among them may be NaN or infinite, which is text."""

    rows: list[list[Any]]
    float_texts: bool


async def value_rows(prepared: Prepared, views: Sequence[ViewRows]) -> ParsedRows | None:
    """The rows, parsed in one go.

    None where that takes too long, or integers need more than 64 bits: then `value_columns` reads them.
    """
    if prepared.has_huge or len(views[0].rows) * len(prepared.names) > _AT_ONCE:
        return None
    text = await joined_rows(prepared, views)
    rows: list[list[Any]] = orjson.loads(b"[[%s]]" % text)
    return ParsedRows(rows, b'NaN"' in text or b'Infinity"' in text)


async def value_columns(
    prepared: Prepared,
    views: Sequence[ViewRows],
    value_of: Callable[[SqlType], Value | None],
) -> AsyncIterator[tuple[SqlType, list[Any]]]:
    """Each feature's type and values, in the order asked; other requests have their turns between.

    Args:
        value_of: gives the function from parsed JSON to a value of a type, None where it is the same.
    """
    turns = Turns()
    found = await columns(prepared, views, turns)
    for declared, fragments in zip(prepared.sql_types, found, strict=True):
        convert = value_of(declared)
        values = parse_column(declared, fragments)
        yield declared, values if convert is None else list(map(convert, values))
        await turns.worked(len(values))


def parse_column(declared: SqlType, fragments: Sequence[bytes]) -> list[Any]:
    """A column's fragments as parsed JSON, numbers of any size exact."""
    text = b"[" + b",".join(fragments) + b"]"
    # orjson makes doubles of integers of more than 64 bits.
    parsed: list[Any] = json.loads(text) if has_huge(declared) else orjson.loads(text)
    return parsed


def packed_value(declared: SqlType) -> Value | None:
    """The function from parsed JSON to what MessagePack is given; None where it is the same.

    NaN and infinities are floats, within lists, structs and maps too; integers of more than 64 bits
    are text.
    """
    return _packed(declared) if _differs_packed(declared) else None


def arrow_value(declared: SqlType) -> Value | None:
    """The function from parsed JSON to what Arrow's type takes; None where it is the same."""
    if declared.name in HUGE:
        return lambda value: None if value is None else str(value)
    if declared.name == "UUID" or declared.name in _PLAIN or declared.is_integer:
        return None
    if not declared.items:
        return from_json(declared)
    items = [arrow_value(item) or _same for item in declared.items]
    return _nested(declared, items)


def _packed(declared: SqlType) -> Value:
    if declared.is_float:
        return lambda value: None if value is None else float(value)
    if declared.name in HUGE:
        return lambda value: None if value is None else str(value)
    if not declared.items:
        return _same
    return _nested(declared, list(map(_packed, declared.items)))


def _differs_packed(declared: SqlType) -> bool:
    own = declared.is_float or declared.name in HUGE
    return own or any(map(_differs_packed, declared.items))


def _nested(declared: SqlType, items: Sequence[Value]) -> Value:
    """The function that works on the elements, fields, or keys and values of a nested type."""
    if declared.name == "LIST":
        item = items[0]
        return lambda value: None if value is None else list(map(item, value))
    if declared.name == "MAP":
        key, item = items
        return lambda value: None if value is None else [(key(k), item(v)) for k, v in value]
    fields = dict(zip(declared.fields, items, strict=True))
    return lambda value: (
        None if value is None else {name: of(value[name]) for name, of in fields.items()}
    )


def _same(value: Any) -> Any:
    return value
