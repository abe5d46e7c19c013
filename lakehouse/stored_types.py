"""The type that an Iceberg table keeps for a DuckDB type, which may have none of its own there."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from duckdb.sqltypes import DuckDBPyType

from feature_specs.errors import DataError
from feature_specs.quote import quoted

#: Types that Iceberg lacks, to the narrowest that holds all their values.
STORED_AS = {
    "TINYINT": "INTEGER",
    "SMALLINT": "INTEGER",
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)",
    "HUGEINT": "DECIMAL(38,0)",
    "JSON": "VARCHAR",
    "UUID": "VARCHAR",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
}
#: Of a feature's columns: Iceberg's integers end at 64 bits and have a sign, and sums may grow.
WIDENED = {
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(38,0)",
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
}
_AS_THEY_ARE = {
    "BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIME",
    "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


def stored_columns(relation: duckdb.DuckDBPyRelation, where: str) -> dict[str, str]:
    """Column name to the type that Iceberg keeps for it.

    Raises:
        DataError: a column has a type without an equivalent.
    """
    known = zip(relation.columns, relation.types, strict=True)
    return {name: _stored(kind, name, where, top=True) for name, kind in known}


def stored_select(columns: Mapping[str, str], relation: duckdb.DuckDBPyRelation) -> str:
    """What to select so that each column has its stored type, under the same names."""
    found = dict(zip(relation.columns, map(str, relation.types), strict=True))
    return ", ".join(
        f"{_value(name, found[name], kind)} as {quoted(name)}" for name, kind in columns.items()
    )


def _value(name: str, found: str, kind: str) -> str:
    column = quoted(name)
    if found == "TIMESTAMP_NS":
        # Up, so that nothing is seen early; `//` cuts towards zero, which is up before 1970.
        up = f"case when epoch_ns({column}) > 0 then 999 else 0 end"
        column = f"make_timestamp((epoch_ns({column}) + {up}) // 1000)"
    return column if found == kind else f"cast({column} as {kind})"


def _stored(kind: DuckDBPyType, column: str, where: str, *, top: bool = False) -> str:
    text = str(kind)
    if text in _AS_THEY_ARE or kind.id == "decimal":
        return text
    if text == '"NULL"':
        return "INTEGER"  # a column of nulls that nothing gives a type
    if text.strip('"') in STORED_AS:
        return STORED_AS[text.strip('"')]
    if kind.id == "enum":
        return "VARCHAR"
    if top and text == "TIMESTAMP_NS":
        return "TIMESTAMP"
    if kind.id in ("list", "array", "map", "struct"):
        return _nested(kind, column, where)
    raise DataError(
        f"column {column!r} is of type {text}, which Iceberg cannot keep",
        where=where,
        hint="cast it in the model, for example to varchar",
    )


def _nested(kind: DuckDBPyType, column: str, where: str) -> str:
    parts = [
        (name, _stored(child, column, where))
        for name, child in kind.children
        if isinstance(child, DuckDBPyType)  # an array's size stands among them too
    ]
    if kind.id == "map":
        return f"MAP({parts[0][1]}, {parts[1][1]})"
    if kind.id == "struct":
        return f"STRUCT({', '.join(f'{quoted(name)} {text}' for name, text in parts)})"
    return f"{parts[0][1]}[]"
