"""Write a query of another dialect as DuckDB's, which all passes work on."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.parse.mark_typed_divisions import mark_typed_divisions
from feature_specs.compile.parse.read_duckdb import read_duckdb
from feature_specs.compile.sql.duckdb_sql import duckdb_sql


def write_as_duckdb(query: exp.Query, text: AuthorText) -> exp.Query:
    """The same query in DuckDB's words; divisions wait, marked, until their types are known.

    >>> show(write_as_duckdb, "select k, x / 2 as half from events", "postgres")
    SELECT k, FB_DIVIDE(x, 2) AS half FROM events
    """
    if text.dialect == "duckdb":
        return query
    mark_typed_divisions(query)
    written = read_duckdb(duckdb_sql(query))
    assert isinstance(written, exp.Query)
    return written
