"""Read SQL that SQLGlot wrote for DuckDB as DuckDB reads it."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.parse.group_operators import drop_groups, group_operators
from feature_specs.compile.sql.duckdb_sql import DUCKDB


def read_duckdb(sql: str) -> exp.Expr:
    """The tree of one statement, its operators grouped as DuckDB groups them."""
    (tree,) = DUCKDB.parser().parse(group_operators(DUCKDB.tokenize(sql)), sql)
    assert tree is not None
    drop_groups(tree)
    return tree
