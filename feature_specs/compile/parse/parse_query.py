"""Parse SQL text into one query, with every node remembering its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.parse.expand_requests import drop_braces, expand_requests
from feature_specs.compile.parse.keep_meaning import keep_meaning
from feature_specs.compile.parse.name_aggregates import name_aggregates
from feature_specs.compile.parse.note_file import note_file
from feature_specs.compile.parse.plain_exists import plain_exists
from feature_specs.compile.parse.read_statement import read_statement
from feature_specs.compile.parse.refuse_bare_decimals import refuse_bare_decimals
from feature_specs.compile.parse.write_as_duckdb import write_as_duckdb
from feature_specs.compile.parse.write_out_windows import write_out_windows

#: From the tree of the author's dialect to one in DuckDB's words, for a view and each of its models.
PARSING: tuple[Callable[[exp.Query, AuthorText], exp.Query], ...] = (
    refuse_bare_decimals,  # as the author's dialect spells types
    expand_requests,  # before the dialect is left, which may not know the call
    write_as_duckdb,
    write_out_windows,
    keep_meaning,  # of DuckDB's words
    plain_exists,
    name_aggregates,
    note_file,
)


def parse_query(draft: Draft) -> Draft:
    """Parse the view's own text.

    Raises:
        CompileError: it is not one SELECT query in the dialect.

    >>> show(parse_query, "select k, x <> all([1, 2]) as other from events")
    SELECT k, ((x) <> (1) AND (x) <> (2)) AS other FROM events
    """
    return replace(draft, tree=parse_text(draft.view.sql, draft.dialect, draft.file))


def parse_text(sql: str, dialect: str, file: str) -> exp.Query:
    """One query from text. Raises CompileError with file, line and column."""
    text = AuthorText(drop_braces(sql, file), dialect, file)
    query = read_statement(text)
    for step in PARSING:
        query = step(query, text)
    return query
