"""SQL that searches columns of a Parquet file for a value, at any depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lakehouse.data_files.footers import FileColumn
from lakehouse.data_files.nested_sql import field_sql, item_variable

#: From SQL of a value, and its column, to SQL of whether it is looked for; None for no such column.
Test = Callable[[str, FileColumn], str | None]


def any_value(sql: str, column: FileColumn, test: Test) -> str | None:
    """SQL of whether a column's value matches, or contains one that does.

    Args:
        sql: the value.

    Returns:
        None if no column needs a look.
    """
    if column.kind == "primitive":
        found = test(sql, column)
        return found and f"coalesce({found}, false)"
    if column.kind == "struct":
        return _or(
            any_value(field_sql(sql, place), field, test)
            for place, field in enumerate(column.children)
        )
    item = item_variable(sql.count("lambda"))
    if column.kind == "list":
        items, inner = sql, any_value(item, column.children[0], test)
    else:
        items, (key, value) = f"map_entries({sql})", column.children
        inner = _or([any_value(f"{item}.key", key, test), any_value(f"{item}.value", value, test)])
    return inner and f"coalesce(len(list_filter({items}, lambda {item}: {inner})) > 0, false)"


def _or(tests: Iterable[str | None]) -> str | None:
    given = [t for t in tests if t is not None]
    return f"({' or '.join(given)})" if given else None
