"""Making a project's tables readable by name in a DuckDB connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.catalog import Catalog, LeafEntry, ViewEntry
from feature_specs.errors import DataError, ForebayError, UnknownNameError, raise_all
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.names import fold_name
from feature_specs.time_zones import SESSION_AT_UTC
from lakehouse.duckdb_types import column_types
from lakehouse.lake import catalog_errors, find_table, load_table, open_lake, read_state
from lakehouse.named_tables import named_tables
from lakehouse.plans import planned_statement
from lakehouse.remote.mount_files import mount
from lakehouse.scan import Pinned, define_relation, pin


@dataclass
class Relations:
    """Relations that can be read, and why the others cannot."""

    pinned: dict[str, Pinned] = field(default_factory=dict)
    failed: dict[str, ForebayError] = field(default_factory=dict)


def pin_each(lake: Lake, relations: Mapping[str, str]) -> Relations:
    """Hold on to the tables of relations as they stand now; one that fails stops no other.

    A table behind several relations is planned once.

    Args:
        relations: relation to Iceberg table.

    Raises:
        MachineError: no room, no memory.
    """
    done = Relations()
    tables: dict[str, Pinned | ForebayError] = {}
    for relation, name in relations.items():
        if name not in tables:
            tables[name] = _pin(lake, name)
        found = tables[name]
        if isinstance(found, Pinned):
            done.pinned[relation] = found
        else:
            done.failed[relation] = found
    return done


def _pin(lake: Lake, name: str) -> Pinned | ForebayError:
    try:
        pinned = pin(load_table(lake, name))
        pinned.plan()
    except catalog_errors():
        raise  # the catalog itself, and so all of its tables
    except known_errors() as error:
        return unreadable_table(name, explain_one(error))
    return pinned


def unreadable_table(name: str, error: ForebayError) -> ForebayError:
    """The error of a table that cannot be read, with the table's name in it."""
    if isinstance(error, UnknownNameError):
        return error
    what = f"Iceberg table {name!r} cannot be read: {error.what}"
    return DataError(what, where=error.where, hint=error.hint)


def pin_relations(lake: Lake, relations: Mapping[str, str]) -> dict[str, Pinned]:
    """Relation to its table as it stands now.

    Raises:
        ForebayError: a table is missing or cannot be read; all of them are named.
    """
    done = pin_each(lake, relations)
    raise_all(done.failed.values())
    return done.pinned


def leaf_relations(leaves: Iterable[LeafEntry]) -> dict[str, str]:
    """Relation to Iceberg table of some leaves. A leaf goes by its relation's name."""
    return {leaf.relation: leaf.table for leaf in leaves}


def define_relations(connection: duckdb.DuckDBPyConnection, pinned: Mapping[str, Pinned]) -> None:
    """Create a view for each table under the relation name that SQL uses."""
    for relation, table in pinned.items():
        connection.execute(f"create schema if not exists {relation.rpartition('.')[0]}")
        define_relation(connection, relation, table)


def define_named(
    connection: duckdb.DuckDBPyConnection, catalog: Catalog, query: str
) -> dict[str, Pinned]:
    """Make the lake's tables readable that a query names, as ``schema.table`` or alone.

    Returns those tables by relation.

    Raises:
        ForebayError: one of them cannot be read. Names that are not tables of the lake are left to the
            query's own run.
    """
    named = named_tables(connection, query)
    if named is None:
        return {}  # the query's own run says what is wrong with it
    wanted = {}
    for relation, table in catalog.relations.items():
        parts = tuple(fold_name(relation.replace('"', "")).split("."))
        if named & {parts[n:] for n in range(len(parts))}:
            wanted[relation] = table
    pinned = pin_relations(open_lake(catalog.lake), wanted)
    define_relations(connection, pinned)
    for relation in wanted:
        _, schema, name = relation.rsplit(".", 2)
        connection.execute(f"create schema if not exists {schema}")
        for short in (f"{schema}.{name}", name):
            connection.execute(f"create or replace view {short} as select * from {relation}")
    return pinned


def tune(connection: duckdb.DuckDBPyConnection) -> None:
    """Settings that every connection of ours needs: UTC, and as-of joins that never turn quadratic.

    Where DuckDB guesses that the probing side of an as-of join is small it loops over both sides;
    the guess is wrong behind several CTEs, and a minute's work becomes hours'.
    """
    connection.execute(SESSION_AT_UTC)
    connection.execute("set asof_loop_join_threshold = 0")
    connection.execute("set preserve_insertion_order = false")
    mount(connection)


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
    features = planned_statement(folder, view.name, "features").replace("$as_of", instant)
    return features.replace("forebay_stored", f"({pin(table).sql})")
