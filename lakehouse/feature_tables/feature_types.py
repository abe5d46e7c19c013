"""Types of a feature table's columns: those that Iceberg, the online store and the API can hold."""

from __future__ import annotations

import re

import duckdb
from duckdb.sqltypes import DuckDBPyType
from sqlglot import exp

from feature_specs.compile import CompiledView
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError
from lakehouse.stored_types import WIDENED

#: What goes through tables, training sets and the API whole, within lists and structs too.
_WHOLE = {
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
    "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "UUID", "JSON", "DATE", "TIME",
    "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
#: Types whose values `serving.keys` takes, and JSON and enums, which are text there.
_KEYS = re.compile(
    r"U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|BOOLEAN|VARCHAR|JSON|UUID|DATE|TIMESTAMP(?:_S|_MS)?"
    r"|TIMESTAMP WITH TIME ZONE|DECIMAL\(.*\)|ENUM\(.*\)"
)
_HINTS = {
    "INTERVAL": "write its length in seconds: epoch({})",
    '"NULL"': "give it a type: cast({} as double)",
    "TIMESTAMP_NS": "cast it: cast({} as timestamp)",
    "TIMESTAMPTZ_NS": "cast it: cast({} as timestamptz)",
    "TIME_NS": "cast it: cast({} as time)",
}


def table_types(view: CompiledView) -> tuple[dict[str, str], dict[str, str]]:
    """Types of a view's stored columns (keys and event_time too) and of its features.

    Raises:
        CompileError: a column has a type that a feature table or the API cannot hold, or a key one
            that the online store cannot.
    """
    stored, features = view.types.stored, view.types.features
    read = {n: k for n, k in features.items() if n not in stored}
    for name, kind in [*stored.items(), *read.items()]:
        unknown = _unknown(duckdb.sqltype(kind)) if kind not in WIDENED else None
        if unknown is not None:
            raise _refusal(view, name, kind, unknown)
    for name in view.view.entities:
        if not _KEYS.fullmatch(stored[name]):
            raise CompileError(
                f"entity {view.label(name)!r} is of type {stored[name]}, which cannot be a key online",
                where=view.draft.locate(_item(view, name)),
                hint="cast it to text, a number, a date, a timestamp or a uuid",
            )
    return {n: WIDENED.get(k, k) for n, k in stored.items()}, {
        n: WIDENED.get(k, k) for n, k in features.items()
    }


def _unknown(kind: DuckDBPyType) -> str | None:
    """The unsupported type within a type, or None."""
    if kind.id in ("list", "array", "map", "struct"):
        inner = (c for _, c in kind.children if isinstance(c, DuckDBPyType))
        return next((found for c in inner if (found := _unknown(c)) is not None), None)
    text = str(kind)
    return None if text in _WHOLE or kind.id in ("decimal", "enum") else text


def _item(view: CompiledView, name: str) -> exp.Expr | None:
    """The item of that name in the view's select list."""
    tree = view.draft.tree
    items = tree.selects if isinstance(tree, exp.Query) else []
    return next((i for i in items if i.alias_or_name == name), None)


def _refusal(view: CompiledView, name: str, kind: str, unknown: str) -> CompileError:
    item = _item(view, name)
    written = name if item is None else duckdb_sql(item.unalias())
    hint = "cast it, for example to varchar"
    if kind == unknown:
        hint = _HINTS.get(unknown, "cast it: cast({} as varchar)").format(written)
    shown = "null without a type" if kind == '"NULL"' else f"of type {kind}"
    return CompileError(
        f"{view.draft.label(name)!r} is {shown}, which feature tables and the API do not have",
        where=view.draft.locate(item),
        hint=hint,
    )
