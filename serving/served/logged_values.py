"""Read what the log of served vectors holds of a row: answered values and request values.

An answer's values are logged as the fragments of JSON that were answered (`serving.rows`), and what
its caller sent as one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from feature_specs.catalog import Column, ViewEntry
from feature_specs.names import fold_name
from feature_specs.quote import literal, quoted
from feature_specs.sql_types import SqlType, parse_type
from serving.rows import from_json


def read_value(fragment: str, declared: str) -> Any:
    """The value of a logged fragment.

    >>> read_value('"ANj/"', "BLOB"), read_value("[[1,true]]", "MAP(BIGINT, BOOLEAN)")
    (b'\\x00\\xd8\\xff', [(1, True)])
    """
    return from_json(parse_type(declared))(json.loads(fragment))


def value_sql(fragment: str, declared: str) -> str:
    """SQL of a value, from SQL of the text of its logged fragment.

    >>> value_sql("answered", "BIGINT")
    "cast(json_extract_string(answered, '$') as BIGINT)"
    """
    return f"cast({_value(fragment, parse_type(declared), 0)} as {declared})"


def request_text(value: Any) -> str | None:
    """The text of a request value as it was sent in JSON, of which its type's value can be cast.

    >>> request_text("07:00"), request_text(1.5), request_text(True), request_text(None)
    ('07:00', '1.5', 'true', None)
    """
    return value if value is None or isinstance(value, str) else json.dumps(value)


def read_request(request: str | None) -> dict[str, str | None]:
    """The texts of a row's request values, by their names in lower case."""
    sent: dict[str, Any] = json.loads(request or "{}")
    return {fold_name(name): request_text(value) for name, value in sent.items()}


def request_sql(request: str, column: Column) -> str:
    """SQL of a request value, from SQL of a row's request; null where that has none."""
    text = f"json_extract_string({request}, {literal(_pointer(column.name))})"
    return f"cast({text} as {column.type})"


def names_of(view: ViewEntry, feature: str) -> list[str]:
    """All names that a feature was, or could have been, asked by: its own, and its aliases."""
    own = fold_name(view.feature(feature).own_name)
    return [each.name for each in view.names if fold_name(each.own_name) == own]


def fragment_sql(names: Iterable[str]) -> str:
    """SQL of the fragment that a row has of a feature, by the first of some names that it has."""
    places = ", ".join(f"list_position(features, {literal(name)})" for name in names)
    return f'"values"[coalesce({places})]'


def has_sql(names: Iterable[str]) -> str:
    """SQL that holds of the rows that have a feature by any of some names."""
    return f"list_has_any(features, [{', '.join(map(literal, names))}])"


def _value(text: str, declared: SqlType, depth: int) -> str:
    """SQL of a fragment's value, whose nested types are those that `parse_type` knows."""
    if not declared.items:
        plain = f"json_extract_string({text}, '$')"
        return f"from_base64({plain})" if declared.name == "BLOB" else _cast(plain, declared, depth)
    # Of a null in JSON every part would be one, where the whole is to be.
    known = f"nullif(cast({text} as varchar), 'null')"
    item = f"e{depth}"
    if declared.name == "LIST":
        each = _value(item, declared.items[0], depth + 1)
        return f"list_transform(cast({known} as json[]), lambda {item}: {each})"
    if declared.name == "MAP":
        key, value = (
            _value(f"json_extract({item}, '$[{n}]')", kind, depth + 1)
            for n, kind in enumerate(declared.items)
        )
        pair = f"struct_pack(k := {key}, v := {value})"
        entries = f"list_transform(cast({known} as json[]), lambda {item}: {pair})"
        return f"map_from_entries({entries})"
    fields = ", ".join(
        f"{quoted(name)} := "
        + _value(f"json_extract({text}, {literal(_pointer(name))})", kind, depth + 1)
        for name, kind in zip(declared.fields, declared.items, strict=True)
    )
    return f"case when {known} is not null then struct_pack({fields}) end"


def _cast(text: str, declared: SqlType, depth: int) -> str:
    return f"cast({text} as {declared})" if depth else text


def _pointer(name: str) -> str:
    """The JSON pointer of a field, whatever its name holds."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
