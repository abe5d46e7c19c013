"""Write request('name', 'type'), in Jinja's braces or without, as the passes know it."""

from __future__ import annotations

import re

from sqlglot import exp
from sqlglot.errors import ParseError

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.sql.request_values import REQUEST_PREFIX
from feature_specs.errors import CompileError, Location
from feature_specs.names import fold_name

_BRACES = re.compile(r"\{\{-?(\s*request\s*\([^{}]*\)\s*)-?\}\}", re.IGNORECASE)
_MEND = "write request('amount', 'double'): a name and a DuckDB type, both in quotes"


def drop_braces(sql: str, file: str) -> str:
    """``{{ request(...) }}`` without its braces, every character in its place.

    Raises:
        CompileError: other Jinja remains, which only dbt can render.
    """
    plain = _BRACES.sub(lambda m: m[1].rjust(m.end() - m.start() - 2) + "  ", sql)
    left = re.search(r"\{\{|\{%", plain)
    if left is not None:
        line = plain.count("\n", 0, left.start()) + 1
        raise CompileError(
            "the SQL holds Jinja that is not rendered",
            where=Location(file, line),
            hint="name tables as plain SQL does, or compile through dbt with `forebay compile`",
        )
    return plain


def expand_requests(query: exp.Query, text: AuthorText) -> exp.Query:
    """Each request(name, type) as ``cast(getvariable('forebay_request_<name>') as type)``.

    Raises:
        CompileError: a request without a name and a type as literals.

    >>> show(expand_requests, "select k, x > request('amount', 'double') as dear from events")
    SELECT k, x > CAST(GETVARIABLE('forebay_request_amount') AS DOUBLE) AS dear FROM events
    """

    def expanded(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Anonymous) or node.name.lower() != "request":
            return node
        said = [e.this for e in node.expressions if isinstance(e, exp.Literal) and e.is_string]
        place = node._meta or {}
        where = text.at(place.get("line"), place.get("col"))
        if len(said) != 2 or len(node.expressions) != 2 or not said[0].isidentifier():
            raise CompileError("a request needs a name and a type", where=where, hint=_MEND)
        variable = exp.Literal.string(REQUEST_PREFIX + fold_name(said[0]))
        value = exp.Anonymous(this="getvariable", expressions=[variable])
        value._meta = node._meta
        try:
            return exp.cast(value, said[1], dialect=DUCKDB)
        except (ParseError, ValueError):
            raise CompileError(f"{said[1]!r} is not a type", where=where, hint=_MEND) from None

    made = query.transform(expanded, copy=False)
    assert isinstance(made, exp.Query)
    return made
