"""Give every part of the statement a name of its own, so that it can be followed by name."""

from __future__ import annotations

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.sql.name_ctes_apart import name_ctes_apart


def name_parts_apart(statement: EngineStatement) -> None:
    """Rename common table expressions and subqueries that share a name, in place.

    >>> show(
    ...     name_parts_apart,
    ...     "with a as (select 1 as x), b as (with a as (select 2 as x) select * from a) "
    ...     "select * from b",
    ...     "trino",
    ... )
    WITH a AS (SELECT 1 AS x), b AS (WITH "a__2" AS (SELECT 2 AS x) SELECT * FROM "a__2" AS
    "a") SELECT * FROM b
    """
    name_ctes_apart(statement.tree)
