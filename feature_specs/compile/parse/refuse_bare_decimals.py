"""Refuse a decimal without digits, which is another type in every dialect."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.errors import CompileError


def refuse_bare_decimals(query: exp.Query, text: AuthorText) -> exp.Query:
    """Each dialect has digits of its own for a decimal that says none; DuckDB's are 18 and 3.

    >>> show(refuse_bare_decimals, "select k, cast(x as decimal) as v from events", "spark")
    v.sql: a decimal without digits is another type in spark than in DuckDB. Hint: give its
    digits, as in decimal(18, 6), or cast to double
    """
    for cast in query.find_all(exp.Cast) if text.dialect != "duckdb" else ():
        if cast.to.this == exp.DType.DECIMAL and not cast.to.expressions:
            raise CompileError(
                f"a decimal without digits is another type in {text.dialect} than in DuckDB",
                where=text.at(),
                hint="give its digits, as in decimal(18, 6), or cast to double",
            )
    return query
