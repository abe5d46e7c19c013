"""One statement, three dialects: what DuckDB runs, as Trino and Spark run it with the same meaning.

SQLGlot writes the dialects; what it would pass through unchanged, or change in meaning, is rewritten
here first, a module for each rewrite. Sessions are at UTC on every engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import sqlglot
from sqlglot import exp

from feature_specs.compile.engines.annotate_columns import annotate_columns
from feature_specs.compile.engines.drop_infinities import drop_infinities
from feature_specs.compile.engines.drop_type_checks import drop_type_checks
from feature_specs.compile.engines.expand_stars import exclude_by_table_function, expand_stars
from feature_specs.compile.engines.lower_asof_joins import lower_asof_joins
from feature_specs.compile.engines.lower_qualify import lower_qualify
from feature_specs.compile.engines.lower_semi_joins import lower_semi_joins
from feature_specs.compile.engines.lower_windows import window_refusal
from feature_specs.compile.engines.map_calls import map_calls, refuse_unmapped
from feature_specs.compile.engines.number_rows import number_rows
from feature_specs.compile.engines.order_windows import order_windows
from feature_specs.compile.engines.refuse_repetition import refuse_repetition
from feature_specs.compile.engines.rename_tables import rename_tables
from feature_specs.compile.engines.split_steps import Steps, split_steps
from feature_specs.compile.engines.trace_columns import Schema, Trace
from feature_specs.compile.engines.unnest_laterals import unnest_laterals
from feature_specs.compile.engines.write_out_names import write_out_names
from feature_specs.compile.name_ctes_apart import name_ctes_apart
from feature_specs.names import fold_name

__all__ = [
    "ENGINES",
    "Engine",
    "Steps",
    "window_refusal",
    "write_for_engine",
    "write_steps_for_engine",
]

Engine = Literal["duckdb", "trino", "spark"]
ENGINES: tuple[Engine, ...] = ("duckdb", "trino", "spark")


def write_for_engine(
    sql: str,
    engine: Engine,
    *,
    spine_columns: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> str:
    """The same statement in an engine's dialect. Parameters stay ``$name``; Spark's are ``:name``.

    Args:
        sql: one statement of DuckDB, as the compiler emits it.
        spine_columns: the columns of the user's spine, where they are known.
        schema: table to column to DuckDB type, of the tables read. Without it, statements whose
            rewriting depends on a type are refused.

    Raises:
        CompileError: the engine cannot do it with the same meaning; names the construct.
    """
    if engine == "duckdb":
        return sql
    tree = _rewritten(sql, engine, spine_columns, schema)
    refuse_repetition(tree, engine)
    return tree.sql(engine, pretty=True)


def write_steps_for_engine(
    sql: str,
    engine: Engine,
    prefix: str,
    *,
    spine_columns: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Steps:
    """The same as several statements: what is read more than once becomes a table.

    Args:
        prefix: what the tables' names begin with, such as ``lake.scratch.run_7_``.
    """
    if engine == "duckdb":
        return Steps((), sql, ())
    return split_steps(_rewritten(sql, engine, spine_columns, schema), engine, prefix)


def _rewritten(
    sql: str, engine: Engine, spine_columns: Sequence[str] | None, schema: Schema | None
) -> exp.Expr:
    tree: exp.Expr = sqlglot.parse_one(sql, dialect="duckdb")
    known = {fold_name(name): columns for name, columns in (schema or {}).items()}
    drop_infinities(tree)
    drop_type_checks(tree)
    name_ctes_apart(tree)
    trace = Trace(tree, known, spine_columns)
    if engine == "trino":
        lower_semi_joins(tree, trace, engine)
        trace = Trace(tree, known, spine_columns)
    rename_tables(tree, trace)
    expand_stars(tree, trace)
    unnest_laterals(tree, engine)
    trace = Trace(tree, known, spine_columns)
    write_out_names(tree, trace)
    order_windows(tree, trace)
    number_rows(tree, trace)
    annotate_columns(tree, trace, known)
    refuse_unmapped(tree, engine)
    lower_asof_joins(tree, trace, engine)
    tree = lower_qualify(tree, trace)
    tree = map_calls(tree, engine)
    for cte in tree.find_all(exp.CTE):
        cte.set("materialized", None)
    if engine == "trino":
        exclude_by_table_function(tree)
    return tree
