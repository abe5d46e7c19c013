"""Remove MATERIALIZED from common table expressions: only DuckDB has it."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement


def drop_materialized(statement: EngineStatement) -> None:
    """Remove MATERIALIZED, in place.

    >>> show(
    ...     drop_materialized,
    ...     "with a as materialized (select k from events) select k from a",
    ...     "trino",
    ... )
    WITH a AS (SELECT k FROM events) SELECT k FROM a
    """
    for cte in statement.tree.find_all(exp.CTE):
        cte.set("materialized", None)
