"""Names of the tables that a query reads, as DuckDB parses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from feature_specs.names import fold_name


def named_tables(connection: duckdb.DuckDBPyConnection, query: str) -> set[tuple[str, ...]] | None:
    """Tables, each as its parts in lower case; None where DuckDB cannot parse the query.

    Names of common table expressions are among them. `get_table_names` is not asked: it binds the
    query, so that a join by USING fails, and gives aliases with the names.

    >>> named_tables(duckdb.connect(), "from (Main.a x join b using (k))") == {("main", "a"), ("b",)}
    True
    """
    found = connection.execute("select json_serialize_sql(?::varchar)", [query]).fetchone()
    tree = json.loads(found[0]) if found else {"error": True}
    return None if tree["error"] else set(_tables(tree))


def _tables(node: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(node, list):
        for each in node:
            yield from _tables(each)
    elif isinstance(node, dict):
        if node.get("type") in ("BASE_TABLE", "SHOW_REF") and node["table_name"]:
            parts = (node["catalog_name"], node["schema_name"], node["table_name"])
            yield tuple(fold_name(part) for part in parts if part)
        for each in node.values():
            yield from _tables(each)
