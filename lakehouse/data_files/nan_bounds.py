"""Keep DuckDB from inferring from Parquet statistics that a column has no NaN.

Writers leave NaN out of a column's bounds, as the Parquet format asks; DuckDB orders NaN above all
numbers, takes the bounds for those of all values, and so drops rows and folds conditions: of 1.5 and
NaN none is ``> 5`` and none ``isnan``. What a CASE gives has no bounds.
"""

from __future__ import annotations

from collections.abc import Mapping

from feature_specs.quote import quoted
from lakehouse.data_files.footers import FileColumn
from lakehouse.data_files.nested_sql import field_sql, item_variable, list_sql, map_sql, struct_sql

_FLOATS = frozenset({"FLOAT", "DOUBLE"})


def without_bounds(relation: str, columns: Mapping[str, FileColumn]) -> str:
    """The same relation, with floating-point columns for which DuckDB has no statistics.

    Args:
        relation: a call that reads Parquet files.
        columns: its columns by name.
    """
    replaced = [
        f"{sql} as {quoted(name)}"
        for name, column in columns.items()
        if (sql := _without_bounds(quoted(name), column)) != quoted(name)
    ]
    return f"(select * replace ({', '.join(replaced)}) from {relation})" if replaced else relation


def _without_bounds(sql: str, column: FileColumn, depth: int = 0) -> str:
    """SQL of the same value; ``sql`` itself if there is no float in it."""
    item = item_variable(depth)
    match column.kind:
        case "struct":
            parts = [field_sql(sql, place) for place in range(len(column.children))]
            made = [
                _without_bounds(part, child, depth)
                for part, child in zip(parts, column.children, strict=True)
            ]
            names = [child.name for child in column.children]
            return sql if made == parts else struct_sql(sql, list(zip(names, made, strict=True)))
        case "list":
            return list_sql(sql, item, _without_bounds(item, column.children[0], depth + 1))
        case "map":
            key, value = (
                _without_bounds(f"{item}.{part}", child, depth + 1)
                for part, child in zip(("key", "value"), column.children, strict=True)
            )
            return map_sql(sql, item, key, value)
    return f"case when {sql} is not null then {sql} end" if column.type in _FLOATS else sql
