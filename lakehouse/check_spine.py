"""Check a spine's columns against what a service reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb

from feature_specs.catalog import Catalog
from feature_specs.errors import DataError, did_you_mean
from feature_specs.names import OWN_COLUMNS, fold_name
from feature_specs.quote import quoted
from feature_specs.sql_types import widens
from feature_specs.view import FeatureReference
from lakehouse.retained import check_all_retained, removals
from lakehouse.scan import Pinned
from lakehouse.training_record import SpineReading

#: What dbt names the common table expression of an ephemeral model by.
_EPHEMERAL = "__dbt__cte__"


def check_relation(
    cursor: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    reading: SpineReading,
    where: str,
    statement: str = "",
) -> None:
    """The same of a relation that a dbt model reads, before DuckDB meets a missing column in SQL
    that nobody wrote.

    Args:
        where: the model's file, for the error.
        statement: the model's whole SQL, in which an ephemeral spine is defined. Without it such a
            spine is left to DuckDB.

    Raises:
        DataError: as `check_spine` does, or it has no such column of instants.
    """
    # Here, since `forebay train` with a spine needs none of SQLGlot, a third of its start-up.
    from sqlglot.errors import SqlglotError

    relation = reading.spine["relation"]
    try:
        found = cursor.sql(f"{_definition(relation, statement)}select * from {relation} limit 0")
    except (duckdb.Error, SqlglotError):
        return  # which the whole statement fails of too, or which only it defines
    columns = dict(zip(found.columns, map(str, found.types), strict=True))
    if fold_name(reading.timestamp) not in map(fold_name, columns):
        raise DataError(
            f"the spine has no column {reading.timestamp!r}, of the instants asked",
            where=where,
            hint="name it in the call, point_in_time(..., timestamp='...'); "
            + did_you_mean(reading.timestamp, columns),
        )
    check_spine(catalog, reading.service, columns, where)


def check_instants(
    cursor: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    reading: SpineReading,
    pinned: Mapping[str, Pinned],
    where: str,
    statement: str,
) -> None:
    """Refuse a dbt model's spine that goes back to rows which retention has removed.

    Args:
        pinned: the leaves' tables by relation.
        statement: the model's whole SQL.

    Raises:
        DataError: it does.
    """
    if not any(removals(table.table) for table in pinned.values()):
        return
    relation = reading.spine["relation"]
    defined = _definition(relation, statement)
    earliest = earliest_instant(cursor, relation, reading.timestamp, defined)
    if earliest is not None:
        views = [view for view, _ in catalog.service(reading.service).features]
        check_all_retained(catalog, views, pinned, earliest - reading.lag_us, where)


def earliest_instant(
    connection: duckdb.DuckDBPyConnection, relation: str, timestamp: str, defined: str = ""
) -> int | None:
    """The earliest of a relation's instants, in microseconds; None where it has none.

    Args:
        defined: a WITH clause that the relation needs.
    """
    found = connection.execute(
        f"{defined}select epoch_us(min({quoted(timestamp)})::timestamptz) from {relation}"
    ).fetchall()
    return None if found[0][0] is None else int(found[0][0])


def _definition(relation: str, statement: str) -> str:
    """The WITH clause of an ephemeral model, and of those that it reads; empty for a table."""
    if not statement or not relation.startswith(_EPHEMERAL):
        return ""
    import sqlglot

    from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql

    query = sqlglot.parse_one(statement, dialect=DUCKDB)
    within = query.args.get("with_")
    named = (
        [cte for cte in within.expressions if cte.alias.startswith(_EPHEMERAL)] if within else []
    )
    listed = ", ".join(f"{quoted(cte.alias)} as ({duckdb_sql(cte.this)})" for cte in named)
    return f"with {listed} " if listed else ""


def check_spine(catalog: Catalog, service: str, columns: Mapping[str, str], where: str) -> set[str]:
    """Compare a spine's columns with those that a service reads and adds.

    Args:
        columns: DuckDB types by name.
        where: the spine's file, or the model's, for the error.

    Returns:
        Those that are keys.

    Raises:
        DataError: one is missing, of another type, or named like a feature.
    """
    features = catalog.service(service).features
    check_names(columns, [FeatureReference(*named).column for named in features], where)
    return check_columns(catalog, [view for view, _ in features], columns, where)


def check_names(columns: Iterable[str], features: Iterable[str], where: str) -> None:
    """Raises DataError if a spine column is named like a feature, or begins like forebay's own."""
    taken = {fold_name(f) for f in features}
    for name in columns:
        if fold_name(name) in taken:
            raise DataError(
                f"spine column {name!r} is named like a feature that is added beside it",
                where=where,
                hint=f"rename it in the spine, for example {name}_before",
            )
        if fold_name(name).startswith(OWN_COLUMNS):
            raise DataError(
                f"spine column {name!r} begins with {OWN_COLUMNS}, as forebay's own columns do",
                where=where,
                hint="rename it in the spine",
            )


def check_columns(
    catalog: Catalog, views: Iterable[str], columns: Mapping[str, str], where: str
) -> set[str]:
    """The spine's columns that are keys. Raises DataError where one, or a request value, is missing
    or of another type."""
    keys: set[str] = set()
    kinds = {fold_name(name): kind for name, kind in columns.items()}
    for name in dict.fromkeys(views):
        view = catalog.view(name)
        for column in (*view.entities, *view.requests):
            if fold_name(column.name) not in kinds:
                kind = "key" if column in view.entities else "request value"
                raise DataError(
                    f"the spine lacks {kind} {column.name!r} of feature view {name!r}",
                    where=where,
                    hint=f"add the column as {column.type}; " + did_you_mean(column.name, columns),
                )
        for key in view.entities:
            keys.add(key.name)
            given = kinds[fold_name(key.name)]
            if not widens(given, key.type):
                raise DataError(
                    f"spine column {key.name!r} is a {given}, but feature view "
                    f"{name!r} has it as {key.type}",
                    where=where,
                    hint=f"cast it to {key.type}",
                )
    return keys
