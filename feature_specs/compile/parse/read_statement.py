"""Read the one query that a text holds, its operators grouped as DuckDB's own grammar groups them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import Dialect, exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token

from feature_specs.compile.parse.author_text import AuthorText
from feature_specs.compile.parse.group_operators import drop_groups, group_operators, grouped_text
from feature_specs.compile.parse.keep_meaning import refuse_misread
from feature_specs.compile.parse.read_values import UngroupedError
from feature_specs.compile.parse.refuse_shapes import pivot_fault
from feature_specs.compile.sql.ask_duckdb import reads_alike, syntax_error
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.errors import CompileError


def read_statement(text: AuthorText) -> exp.Query:
    """The tree of the query, in the author's dialect.

    Raises:
        CompileError: it is not one SELECT query, or DuckDB would read it as another one.
    """
    known = DUCKDB if text.dialect == "duckdb" else Dialect.get_or_raise(text.dialect)
    grouped = _Grouped([])
    try:
        tokens = known.tokenize(text.sql)
        refuse_misread(tokens, text.sql, text.dialect, text.file)
        grouped = _Grouped.of(tokens) if text.dialect == "duckdb" else _Grouped(tokens)
        statements = [s for s in known.parser().parse(grouped.tokens, text.sql) if s is not None]
    except ParseError as error:
        if text.dialect == "duckdb":
            _refuse_syntax(text)
        if grouped.unclear is not None:
            _hold_to_duckdb(text, grouped)
        first = error.errors[0] if error.errors else {}
        raise CompileError(
            f"the SQL does not parse: {first.get('description', error)}",
            where=text.at(first.get("line"), first.get("col")),
            hint=f"check the text near {first.get('highlight')!r}",
        ) from None
    except TokenError as error:
        raise CompileError(
            f"the SQL does not parse: {error}", where=text.at(), hint="close what is open"
        ) from None
    if len(statements) == 1 and isinstance(statements[0], exp.Pivot):
        what, hint = pivot_fault(statements[0])
        raise CompileError(what, where=text.at(), hint=hint)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise CompileError(
            "a feature view is one SELECT query",
            where=text.at(),
            hint="leave one SELECT statement, without a semicolon-separated second one",
        )
    if text.dialect == "duckdb":
        _hold_to_duckdb(text, grouped)
        drop_groups(statements[0])
    return statements[0]


@dataclass(frozen=True)
class _Grouped:
    """Tokens with parentheses as DuckDB groups them, or where that was not to be told."""

    tokens: list[Token]
    unclear: Token | None = None

    @classmethod
    def of(cls, tokens: list[Token]) -> _Grouped:
        try:
            return cls(group_operators(tokens))
        except UngroupedError as error:
            return cls(tokens, unclear=error.token)


def _hold_to_duckdb(text: AuthorText, grouped: _Grouped) -> None:
    """Raises CompileError for what DuckDB does not parse, or reads otherwise than it was grouped."""
    _refuse_syntax(text)
    unclear = grouped.unclear
    if unclear is not None:
        raise CompileError(
            f"what {unclear.text} belongs to is not clear",
            where=text.at(unclear.line, unclear.col),
            hint="put parentheses around each of its operands, or call a function instead",
        )
    written = grouped_text(text.sql, grouped.tokens)
    if written != text.sql and not reads_alike(text.sql, written):
        raise CompileError(
            "which operator belongs to which is not clear",
            where=text.at(),
            hint="put parentheses around the operands of its operators",
        )


def _refuse_syntax(text: AuthorText) -> None:
    """Raises CompileError in DuckDB's words, which name the place best, for what it cannot parse."""
    refused = syntax_error(text.sql)
    if refused is not None:
        message, line = refused
        if message == "zero-length delimited identifier":
            raise CompileError('a name is empty: ""', where=text.at(), hint="give it letters")
        raise CompileError(
            f"DuckDB does not parse the SQL: {message}",
            where=text.at(line),
            hint="write it as DuckDB does",
        )
