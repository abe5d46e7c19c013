"""Request values as compiled SQL reads them: DuckDB's variables."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.catalog import Column
from feature_specs.compile.sql.duckdb_sql import duckdb_sql

REQUEST_PREFIX = "forebay_request_"


def request_of(node: exp.Expr) -> Column | None:
    """The request value that a node reads: ``cast(getvariable('forebay_request_x') as T)``."""
    if isinstance(node, exp.Cast) and is_variable(node.this):
        name = node.this.expressions[0].name.removeprefix(REQUEST_PREFIX)
        return Column(name, duckdb_sql(node.to))
    return None


def is_variable(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "getvariable"
