"""Making a project's tables readable by name in a DuckDB connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, LeafEntry, ViewEntry
from lakehouse.duckdb_types import column_types
from lakehouse.lake import find_table, load_table, read_state
from lakehouse.plans import read_statement
from lakehouse.scan import Pinned, define_view, pin


def pin_relations(lake: Lake, relations: Mapping[str, str]) -> dict[str, Pinned]:
    """Relation to its table as it stands now; a table behind several relations is planned once.

    Raises:
        UnknownNameError: a table is missing.
    """
    tables = {name: pin(load_table(lake, name)) for name in sorted(set(relations.values()))}
    return {relation: tables[name] for relation, name in relations.items()}


def leaf_relations(leaves: Iterable[LeafEntry]) -> dict[str, str]:
    """Relation to Iceberg table of some leaves. A leaf goes by its relation's name."""
    return {leaf.relation: leaf.table for leaf in leaves}


def define_relations(connection: duckdb.DuckDBPyConnection, pinned: Mapping[str, Pinned]) -> None:
    """Create a view for each table under the relation name that SQL uses."""
    for relation, table in pinned.items():
        connection.execute(f"create schema if not exists {relation.rpartition('.')[0]}")
        define_view(connection, relation, table)


def tune(connection: duckdb.DuckDBPyConnection) -> None:
    """Settings that every connection of ours needs: UTC, and as-of joins that never turn quadratic.

    Where DuckDB guesses that the probing side of an as-of join is small it loops over both sides;
    the guess is wrong behind several CTEs, and a minute's work becomes hours'.
    """
    connection.execute("set timezone = 'UTC'")
    connection.execute("set asof_loop_join_threshold = 0")
    connection.execute("set preserve_insertion_order = false")


def connect(catalog: Catalog, *, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB at UTC in which the project's database name exists."""
    connection = duckdb.connect()
    tune(connection)
    if threads is not None:
        connection.execute(f"set threads = {threads}")
    databases = {leaf.relation.split(".")[0] for leaf in catalog.leaves.values()}
    for database in sorted(databases):
        connection.execute(f"attach ':memory:' as {database}")
    return connection


def feature_relation_sql(lake: Lake, folder: Path, view: ViewEntry) -> str | None:
    """A SELECT of a view's features as last built, read-time parts at that build's instant.

    None where it was never built.
    """
    table = find_table(lake, view.table)
    state = read_state(table)
    if table is None or state is None:
        return None
    if any(c.name not in column_types(table.schema()) for c in view.stored):
        return None
    instant = f"make_timestamptz({state.at})"
    features = read_statement(folder, view.name, "features").replace("$as_of", instant)
    return features.replace("forebay_stored", f"({pin(table).sql})")
