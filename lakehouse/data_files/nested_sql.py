"""SQL that takes nested values apart and rebuilds them."""

from __future__ import annotations

from collections.abc import Sequence

from feature_specs.quote import literal


def item_variable(depth: int) -> str:
    """A lambda's variable for the items of a list or map; another one at each depth."""
    return f"x{depth}"


def field_sql(struct: str, place: int) -> str:
    """A struct's field by its place from 0: by name DuckDB takes one that differs in case."""
    return f"struct_extract_at({struct}, {place + 1})"


def struct_sql(struct: str, fields: Sequence[tuple[str, str]]) -> str:
    """A struct of named values, null where ``struct`` is."""
    packed = ", ".join(f"{literal(name)}: {value}" for name, value in fields)
    return f"case when {struct} is not null then {{{packed}}} end"


def list_sql(listed: str, item: str, element: str) -> str:
    """A list with each ``item`` replaced by SQL over it; the list itself where that changes nothing."""
    return listed if element == item else f"list_transform({listed}, lambda {item}: {element})"


def map_sql(mapped: str, item: str, key: str, value: str) -> str:
    """A map made anew from SQL over ``item.key`` and ``item.value``; itself where they are these."""
    if (key, value) == (f"{item}.key", f"{item}.value"):
        return mapped
    entry = f"{{'key': {key}, 'value': {value}}}"
    return f"map_from_entries(list_transform(map_entries({mapped}), lambda {item}: {entry}))"
