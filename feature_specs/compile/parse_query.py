"""Parse SQL text into one query, with every node remembering its file."""

from __future__ import annotations

import re
from dataclasses import replace

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from feature_specs.compile.draft import Draft
from feature_specs.errors import CompileError, Location


def parse_query(draft: Draft) -> Draft:
    """Parse the view's own text.

    Raises:
        CompileError: it is not one SELECT query in the dialect.
    """
    return replace(draft, tree=parse_text(draft.view.sql, draft.dialect, draft.file))


def parse_text(sql: str, dialect: str, file: str) -> exp.Query:
    """One query from text. Raises CompileError with file, line and column."""
    try:
        statements = [s for s in sqlglot.parse(sql, dialect=dialect) if s is not None]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        raise CompileError(
            f"the SQL does not parse: {first.get('description', error)}",
            where=Location(file, first.get("line"), first.get("col")),
            mend=f"check the text near {first.get('highlight')!r}",
        ) from None
    except TokenError as error:
        raise CompileError(
            f"the SQL does not parse: {error}", where=Location(file), mend="close what is open"
        ) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise CompileError(
            "a feature view is one SELECT query",
            where=Location(file),
            mend="leave one SELECT statement, without a semicolon-separated second one",
        )
    query = statements[0]
    for node in query.walk():
        node.meta["file"] = file
    query.comments = None
    return _strip_trailing_order(query)


def _strip_trailing_order(query: exp.Query) -> exp.Query:
    """The outermost ORDER BY says nothing about features; with LIMIT it does, and stays."""
    if query.args.get("order") and not query.args.get("limit") and not query.args.get("offset"):
        query.set("order", None)
    return query


def relation_key(table: exp.Table) -> str:
    """A table's dotted name, lower case, as leaves and models are looked up."""
    return ".".join(part.name for part in table.parts).lower()


def name_key(name: str) -> str:
    """The same key from a name as it stands in text, quoted or not."""
    return re.sub(r'["`]', "", name).lower()
