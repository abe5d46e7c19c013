"""Parse SQL text into one query, with every node remembering its file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import Dialect, exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token

from feature_specs.compile.ask_duckdb import reads_alike, syntax_error
from feature_specs.compile.draft import Draft
from feature_specs.compile.duckdb_functions import UNKNOWN_AGGREGATES
from feature_specs.compile.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.compile.expand_requests import drop_braces, expand_requests
from feature_specs.compile.group_operators import (
    drop_groups,
    group_operators,
    grouped_text,
)
from feature_specs.compile.keep_meaning import keep_meaning, refuse_misread
from feature_specs.compile.plain_exists import plain_exists
from feature_specs.compile.read_values import UngroupedError
from feature_specs.compile.refuse_shapes import pivot_fault
from feature_specs.compile.type_divisions import mark_typed_divisions
from feature_specs.errors import CompileError, Location
from feature_specs.names import fold_name


def parse_query(draft: Draft) -> Draft:
    """Parse the view's own text.

    Raises:
        CompileError: it is not one SELECT query in the dialect.
    """
    return replace(draft, tree=parse_text(draft.view.sql, draft.dialect, draft.file))


def parse_text(sql: str, dialect: str, file: str) -> exp.Query:
    """One query from text. Raises CompileError with file, line and column."""
    sql = drop_braces(sql, file)
    known = DUCKDB if dialect == "duckdb" else Dialect.get_or_raise(dialect)
    grouped = _Grouped([])
    try:
        tokens = known.tokenize(sql)
        refuse_misread(tokens, sql, dialect, file)
        grouped = _Grouped.of(tokens) if dialect == "duckdb" else _Grouped(tokens)
        statements = [s for s in known.parser().parse(grouped.tokens, sql) if s is not None]
    except ParseError as error:
        if grouped.unclear is not None:
            _hold_to_duckdb(sql, grouped, file)
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
    if len(statements) == 1 and isinstance(statements[0], exp.Pivot):
        what, mend = pivot_fault(statements[0])
        raise CompileError(what, where=Location(file), mend=mend)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise CompileError(
            "a feature view is one SELECT query",
            where=Location(file),
            mend="leave one SELECT statement, without a semicolon-separated second one",
        )
    if dialect == "duckdb":
        _hold_to_duckdb(sql, grouped, file)
        drop_groups(statements[0])
    _refuse_bare_decimals(statements[0], dialect, file)
    query = _in_duckdb(expand_requests(statements[0], file), dialect)
    _name_windows(query)
    keep_meaning(query, file)
    plain_exists(query)
    marked = query.transform(_as_aggregate, copy=False)
    assert isinstance(marked, exp.Query)
    for node in marked.walk():
        # Asking for node.meta would give every node a dictionary, which every copy would copy.
        if node._meta and "line" in node._meta:
            node._meta = _Place({**node._meta, "file": file})
    marked.comments = None
    return marked


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


def _hold_to_duckdb(sql: str, grouped: _Grouped, file: str) -> None:
    """Raises CompileError for what DuckDB does not parse, or reads otherwise than it was grouped."""
    refused = syntax_error(sql)
    if refused is not None:
        message, line = refused
        if message == "zero-length delimited identifier":
            raise CompileError('a name is empty: ""', where=Location(file), mend="give it letters")
        raise CompileError(
            f"DuckDB does not parse the SQL: {message}",
            where=Location(file, line),
            mend="write it as DuckDB does",
        )
    unclear = grouped.unclear
    if unclear is not None:
        raise CompileError(
            f"what {unclear.text} belongs to is not clear",
            where=Location(file, unclear.line, unclear.col),
            mend="put parentheses around each of its operands, or call a function instead",
        )
    text = grouped_text(sql, grouped.tokens)
    if text != sql and not reads_alike(sql, text):
        raise CompileError(
            "which operator belongs to which is not clear",
            where=Location(file),
            mend="put parentheses around the operands of its operators",
        )


def _refuse_bare_decimals(query: exp.Expr, dialect: str, file: str) -> None:
    """Each dialect has digits of its own for a decimal that says none; DuckDB's are 18 and 3."""
    for cast in query.find_all(exp.Cast) if dialect != "duckdb" else ():
        if cast.to.this == exp.DType.DECIMAL and not cast.to.expressions:
            raise CompileError(
                f"a decimal without digits is another type in {dialect} than in DuckDB",
                where=Location(file),
                mend="give its digits, as in decimal(18, 6), or cast to double",
            )


def _in_duckdb(query: exp.Query, dialect: str) -> exp.Query:
    """The query as DuckDB writes it, which all passes work on."""
    if dialect == "duckdb":
        return query
    mark_typed_divisions(query)
    text = duckdb_sql(query)
    written = DUCKDB.parser().parse(group_operators(DUCKDB.tokenize(text)), text)[0]
    assert written is not None
    drop_groups(written)
    assert isinstance(written, exp.Query)
    return written


class _Place(dict[str, Any]):
    """Where a node stands in the author's file: copies of the node share it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Place:
        return self


def _weighted(values: list[exp.Expr]) -> exp.Expr:
    """weighted_avg(value, weight), which is a macro in DuckDB, and so takes no FILTER there."""
    value, weight = (exp.paren(v) for v in values)
    weights = exp.case().when(exp.Is(this=value.copy(), expression=exp.Null()), "0").else_(weight)
    share = exp.Div(
        this=exp.Sum(this=exp.Mul(this=value, expression=weight.copy())),
        expression=exp.Sum(this=weights),
        typed=False,
        safe=False,
    )
    return exp.Paren(this=share)


_ALIASES: dict[str, Callable[[list[exp.Expr]], exp.Expr]] = {
    "mean": lambda values: exp.Avg(this=values[0]),
    "weighted_avg": _weighted,
    "wavg": _weighted,
    "count_star": lambda _: exp.Count(this=exp.Star(), big_int=True),
}


def _as_aggregate(node: exp.Expr) -> exp.Expr:
    """Aggregates under the names, and in the forms, that SQLGlot tells as such."""
    if isinstance(node, exp.Count) and node.this is None:
        node.set("this", exp.Star())
    if isinstance(node, exp.WithinGroup) and isinstance(node.this, exp.Mode) and not node.this.this:
        (order,) = node.expression.expressions
        return exp.Mode(this=exp.Order(this=order.this.copy(), expressions=[order]))
    if isinstance(node, exp.Anonymous) and node.name.lower() in _ALIASES:
        made = _ALIASES[node.name.lower()](node.expressions)
        made._meta = node._meta
        return made
    if isinstance(node, exp.Anonymous) and node.name.lower() in UNKNOWN_AGGREGATES:
        made = exp.AnonymousAggFunc(this=node.name.lower(), expressions=node.expressions)
        made._meta = node._meta
        return made
    return node


def _name_windows(query: exp.Expr) -> None:
    """Write out `over w` where the SELECT says `window w as (...)`."""
    for select in query.find_all(exp.Select):
        named = {fold_name(w.name): w for w in select.args.get("windows") or []}
        for node in list(select.find_all(exp.Window)) if named else []:
            base = named.get(fold_name(node.alias)) if node.args.get("alias") else None
            if base is None or node.parent_select is not select:
                continue
            for part in ("partition_by", "order", "spec"):
                value = base.args.get(part)
                if value and not node.args.get(part):
                    copied = [v.copy() for v in value] if isinstance(value, list) else value.copy()
                    node.set(part, copied)
            node.set("alias", None)
        select.set("windows", None)


def relation_key(table: exp.Table) -> str:
    """A table's dotted name, lower case, as leaves and models are looked up."""
    return fold_name(".".join(part.name for part in table.parts))


def name_key(name: str) -> str:
    """The same key from a name as it stands in text, quoted or not."""
    return fold_name(re.sub(r'["`]', "", name))
