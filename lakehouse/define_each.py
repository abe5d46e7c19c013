"""Show the lake's tables in the project's DuckDB file, so that one that cannot be read stops no other.

What reads a table that cannot be read must fail, with the reason: neither the rows that were there
before nor an empty relation may stand for it. So its relation becomes a view that DuckDB refuses
whenever a statement names it, whatever the statement asks for. Executed errors would not do:
DuckDB skips what it can prove to be empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb
from pyiceberg.catalog import Catalog as Lake

from feature_specs.errors import ForebayError, UnknownNameError
from feature_specs.library_errors import known_errors
from feature_specs.quote import literal, quoted
from lakehouse.data_files.find_unreadable import find_unreadable
from lakehouse.duckdb_types import column_types
from lakehouse.lake import load_table
from lakehouse.relations import Relations, define_relations, pin_each, unreadable_table
from lakehouse.scan import create_view

#: The macro by which a relation refuses to be read; it stands in the relation's own schema.
_REFUSE = "forebay_unreadable"


def define_each(
    connection: duckdb.DuckDBPyConnection, lake: Lake, relations: Mapping[str, str]
) -> Relations:
    """Pin and define each relation; reading one that failed raises the reason.

    Args:
        relations: relation to Iceberg table.

    Raises:
        DataError: a relation is a table of the user's, which is not to be replaced.
        MachineError: no room, no memory.
    """
    done = pin_each(lake, relations)
    for relation, pinned in tuple(done.pinned.items()):
        try:
            define_relations(connection, {relation: pinned})
        except duckdb.Error as error:
            lost = find_unreadable(connection, error, [pinned])
            if lost is None:
                raise
            del done.pinned[relation]  # the file went after its footer was read
            done.failed[relation] = unreadable_table(relations[relation], lost)
    for relation, fault in done.failed.items():
        refuse_relation(connection, lake, relation, relations[relation], fault)
    return done


def refuse_relation(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    relation: str,
    table: str,
    error: ForebayError,
) -> None:
    """Make every statement that names a relation fail with an error's text.

    Args:
        table: the Iceberg table that was to be read.
    """
    if isinstance(error, UnknownNameError) and _is_table(connection, relation):
        return  # never in the lake, or no more: the rows are in the project's own database
    connection.execute(f"create schema if not exists {relation.rpartition('.')[0]}")
    columns = _columns(connection, lake, relation, table)
    listed = ", ".join(f"cast(null as {kind}) as {quoted(n)}" for n, kind in columns.items())
    macro = f"{relation.rpartition('.')[0]}.{_REFUSE}"
    select = f"select {listed or '*'} from {macro}({literal(str(error))})"
    # DuckDB binds a view when it is made, so the macro refuses only afterwards; nobody else sees
    # the moment between.
    connection.execute("begin")
    try:
        connection.execute(
            f"create or replace macro {macro}(fault) as table select * from range(0)"
        )
        create_view(connection, relation, table, select)
        connection.execute(
            f"create or replace macro {macro}(fault) as table select * from range(error(fault))"
        )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _columns(
    connection: duckdb.DuckDBPyConnection, lake: Lake, relation: str, table: str
) -> dict[str, str]:
    """The columns that a relation should have, as far as known; dbt lists them."""
    try:
        return column_types(load_table(lake, table).schema())
    except known_errors():
        pass  # as the table has no metadata either, the view that was there before tells them
    found = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = $1 "
        "and schema_name = $2 and table_name = $3 order by column_index",
        _parts(relation),
    ).fetchall()
    return {str(name): str(kind) for name, kind in found}


def _is_table(connection: duckdb.DuckDBPyConnection, relation: str) -> bool:
    found = connection.execute(
        "select 1 from duckdb_tables() where database_name = $1 and schema_name = $2 "
        "and table_name = $3",
        _parts(relation),
    ).fetchall()
    return bool(found)


def _parts(relation: str) -> list[str]:
    """Database, schema and name of a quoted relation."""
    return [part.replace('""', '"') for part in re.findall(r'"((?:[^"]|"")*)"', relation)]
