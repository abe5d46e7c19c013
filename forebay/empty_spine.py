"""A spine file without rows: CSV and JSON say no types then, so that they are those that are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from feature_specs.catalog import Catalog
from feature_specs.names import fold_name
from lakehouse.quote import quoted

_INSTANT = "TIMESTAMP WITH TIME ZONE"


def typed_if_empty(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, str],
    catalog: Catalog,
    views: Sequence[str],
    timestamp: str | None,
) -> str:
    """The spine as SQL, with the types of keys, request values and instants where it has no rows.

    Args:
        source: SQL of the spine; it and its columns are as the file's reader gives them.
        views: the views whose keys and request values a spine must have.
        timestamp: the column of instants; None for ``event_timestamp``.
    """
    if connection.execute(f"select 1 from ({source}) limit 1").fetchone():
        return source
    needed = {
        column.name: column.type
        for name in views
        for column in (*catalog.view(name).entities, *catalog.view(name).requests)
    }
    needed[timestamp or "event_timestamp"] = _INSTANT
    if list(columns) in (["json"], ["column0"]):  # DuckDB's names where the file has none
        listed = ", ".join(f"cast(null as {kind}) as {quoted(n)}" for n, kind in needed.items())
        return f"select {listed} where false"
    types = {fold_name(name): kind for name, kind in needed.items()}
    casts = ", ".join(
        f"cast({quoted(name)} as {types[fold_name(name)]}) as {quoted(name)}"
        for name, kind in columns.items()
        if kind in ("VARCHAR", "JSON") and fold_name(name) in types
    )
    return f"select * replace ({casts}) from ({source})" if casts else source
