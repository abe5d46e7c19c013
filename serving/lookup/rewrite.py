"""Stored fragments as an answer shows them, where the two differ: decimals as JSON numbers, for readers
that take them for doubles, and maps as JSON objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from feature_specs.sql_types import SqlType

#: From a stored fragment, null included, to the answer's.
Rewrite = Callable[[bytes], bytes]


def rewrite_of(
    declared: SqlType, *, numbers: bool = False, objects: bool = False
) -> Rewrite | None:
    """The function for a type; None where fragments are answered as they are stored.

    Args:
        numbers: decimals become numbers, with all their digits.
        objects: maps with text keys become objects.

    >>> from feature_specs.sql_types import parse_type
    >>> rewrite_of(parse_type("DECIMAL(9,2)[]"), numbers=True)(b'["1.50",null]')
    b'[1.50,null]'
    """
    if declared.name == "DECIMAL":
        return _unquoted if numbers else None
    if not _differs(declared, numbers, objects):
        return None
    return lambda fragment: _write(declared, json.loads(fragment), numbers, objects).encode()


def _unquoted(fragment: bytes) -> bytes:
    return fragment.strip(b'"')


def _differs(declared: SqlType, numbers: bool, objects: bool) -> bool:
    if declared.name == "DECIMAL":
        return numbers
    if objects and _has_text_keys(declared):
        return True
    return any(_differs(item, numbers, objects) for item in declared.items)


def _has_text_keys(declared: SqlType) -> bool:
    return declared.name == "MAP" and declared.items[0].name == "VARCHAR"


def _write(declared: SqlType, value: Any, numbers: bool, objects: bool) -> str:
    """JSON text of a parsed fragment, as `serving.rows` writes it but for what is rewritten."""

    def written(item: SqlType, inner: Any) -> str:
        return _write(item, inner, numbers, objects)

    if value is None:
        return "null"
    if declared.name == "DECIMAL":
        return str(value) if numbers else f'"{value}"'
    if declared.name == "LIST":
        return f"[{','.join(written(declared.items[0], item) for item in value)}]"
    if declared.name == "STRUCT":
        fields = zip(declared.fields, declared.items, strict=True)
        return _object([(name, written(item, value[name])) for name, item in fields])
    if objects and _has_text_keys(declared):
        return _object([(key, written(declared.items[1], item)) for key, item in value])
    if declared.name == "MAP":
        key, item = declared.items
        return f"[{','.join(f'[{written(key, k)},{written(item, v)}]' for k, v in value)}]"
    return _dump(value)


def _object(items: Sequence[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{_dump(name)}:{text}" for name, text in items) + "}"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
