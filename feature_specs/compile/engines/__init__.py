"""One statement, three dialects: what DuckDB runs, as Trino and Spark run it with the same meaning.

SQLGlot writes the dialects; what it would pass through unchanged, or change in meaning, is rewritten
here first, a module for each rewrite. Sessions are at UTC on every engine, which each statement checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.map.map_calls import map_calls, refuse_unmapped
from feature_specs.compile.engines.map.window_calls import window_refusal
from feature_specs.compile.engines.rewrite.annotate_columns import annotate_columns
from feature_specs.compile.engines.rewrite.drop_infinities import drop_infinities
from feature_specs.compile.engines.rewrite.drop_materialized import drop_materialized
from feature_specs.compile.engines.rewrite.drop_type_checks import drop_type_checks
from feature_specs.compile.engines.rewrite.expand_stars import (
    exclude_by_table_function,
    expand_stars,
)
from feature_specs.compile.engines.rewrite.lower_asof_joins import lower_asof_joins
from feature_specs.compile.engines.rewrite.lower_qualify import lower_qualify
from feature_specs.compile.engines.rewrite.lower_semi_joins import lower_semi_joins
from feature_specs.compile.engines.rewrite.name_parts_apart import name_parts_apart
from feature_specs.compile.engines.rewrite.number_rows import number_rows
from feature_specs.compile.engines.rewrite.order_windows import order_windows
from feature_specs.compile.engines.rewrite.parenthesise_operands import parenthesise_operands
from feature_specs.compile.engines.rewrite.place_relations import place_relations
from feature_specs.compile.engines.rewrite.refuse_repetition import (
    fits_one_statement,
    refuse_repetition,
)
from feature_specs.compile.engines.rewrite.rename_tables import rename_tables
from feature_specs.compile.engines.rewrite.search_markers import search_markers
from feature_specs.compile.engines.rewrite.split_steps import Steps, split_steps
from feature_specs.compile.engines.rewrite.trace_columns import Schema
from feature_specs.compile.engines.rewrite.unnest_laterals import unnest_laterals
from feature_specs.compile.engines.rewrite.write_out_names import write_out_names
from feature_specs.compile.parse.read_duckdb import read_duckdb
from feature_specs.errors import CompileError, did_you_mean
from feature_specs.names import fold_name

__all__ = [
    "ENGINES",
    "Engine",
    "Steps",
    "known_engine",
    "window_refusal",
    "write_for_engine",
    "write_steps_for_engine",
]

Engine = Literal["duckdb", "trino", "spark"]
ENGINES: tuple[Engine, ...] = ("duckdb", "trino", "spark")


def known_engine(engine: str) -> Engine:
    """The engine of that name.

    Raises:
        CompileError: there is none.
    """
    for known in ENGINES:
        if known == engine:
            return known
    raise CompileError(
        f"engine {engine!r} is not supported",
        where="engine",
        hint=did_you_mean(engine, ENGINES),
    )


#: From DuckDB's statement to the engine's. The trace is renewed where names or stars have changed.
REWRITES: tuple[Callable[[EngineStatement], None], ...] = (
    drop_infinities,
    drop_type_checks,
    name_parts_apart,
    EngineStatement.trace_again,
    lower_semi_joins,
    rename_tables,
    expand_stars,
    unnest_laterals,
    EngineStatement.trace_again,
    write_out_names,
    order_windows,
    number_rows,
    annotate_columns,
    refuse_unmapped,  # in the author's words, before they are the engine's
    search_markers,  # what stays is for the general way
    lower_asof_joins,
    lower_qualify,
    map_calls,
    parenthesise_operands,  # of what the mappings have written too
    drop_materialized,
    exclude_by_table_function,  # last, since it wraps the whole statement
)


def write_for_engine(
    sql: str,
    engine: Engine,
    *,
    spine_columns: Sequence[str] | None = None,
    schema: Schema | None = None,
    relations: Mapping[str, str] | None = None,
) -> str:
    """The same statement in an engine's dialect. Parameters stay ``$name``; Spark's are ``:name``.

    Args:
        sql: one statement of DuckDB, as the compiler emits it.
        spine_columns: the columns of the user's spine, where they are known.
        schema: table to column to DuckDB type, of the tables read. Without it, statements whose
            rewriting depends on a type are refused.
        relations: table to the engine's SQL that reads it, where that is not its name.

    Raises:
        CompileError: the engine cannot do it with the same meaning; names the construct.
    """
    if engine == "duckdb":
        return sql
    statement = _rewritten(sql, engine, spine_columns, schema, relations)
    refuse_repetition(statement)
    return statement.tree.sql(engine, pretty=True)


def write_steps_for_engine(
    sql: str,
    engine: Engine,
    prefix: str,
    *,
    spine_columns: Sequence[str] | None = None,
    schema: Schema | None = None,
    relations: Mapping[str, str] | None = None,
) -> Steps:
    """The same, as several statements where it is too large for one.

    What is read more than once then becomes a table.

    Args:
        prefix: what the tables' names begin with, such as ``lake.scratch.run_7_``.

    Raises:
        CompileError: as `write_for_engine`, but for the statement's size.
    """
    if engine == "duckdb":
        return Steps((), sql, ())
    statement = _rewritten(sql, engine, spine_columns, schema, relations)
    if fits_one_statement(statement):
        return Steps((), statement.tree.sql(engine, pretty=True), ())
    return split_steps(statement, prefix)


def _rewritten(
    sql: str,
    engine: Engine,
    spine_columns: Sequence[str] | None,
    schema: Schema | None,
    relations: Mapping[str, str] | None,
) -> EngineStatement:
    known = {fold_name(name): columns for name, columns in (schema or {}).items()}
    statement = EngineStatement(read_duckdb(sql), engine, known, spine_columns)
    for step in REWRITES:
        step(statement)
    place_relations(statement.tree, relations or {})
    return statement
