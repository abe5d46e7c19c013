"""Write a tree as DuckDB's SQL, without copying it where possible: called some hundred times per view."""

from __future__ import annotations

import logging
from typing import TypeVar

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.duckdb import DuckDB

from feature_specs.compile.sql.parenthesise import is_misread, parenthesised
from feature_specs.names import fold_name

E = TypeVar("E", bound=exp.Expr)


class _DuckDB(DuckDB):
    """DuckDB as it is: it folds A to Z in names, and a JSON path stays as it is written.

    ``'a.b'`` is a key, ``'$.a.b'`` a path.
    """

    def normalize_identifier(self, expression: E) -> E:
        """The name as DuckDB compares it; SQLGlot would fold ``Ä`` too."""
        if isinstance(expression, exp.Identifier):
            expression.set("this", fold_name(expression.name))
        return expression

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """The path itself."""
        return path


#: An instance, since SQLGlot would look a name up each time.
DUCKDB = _DuckDB()

_LOGGER = logging.getLogger("sqlglot")

#: SQLGlot's note on other dialects' EXTRACT, harmless here: all sessions run at UTC.
_OF_NO_CONCERN = "EXTRACT from TIMESTAMPTZ"

#: Nodes that SQLGlot writes without rewriting the tree first, so that no copy is needed.
_WRITTEN_AS_THEY_STAND: frozenset[type[exp.Expr]] = frozenset({
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Var, exp.Paren, exp.Neg,
    exp.And, exp.Or, exp.Not, exp.Is, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Add,
    exp.Sub, exp.Mul, exp.Filter, exp.Where, exp.Count, exp.Sum, exp.Min, exp.Max, exp.Star,
})  # fmt: skip


def duckdb_sql(node: exp.Expr) -> str:
    """SQL that DuckDB parses to the same tree; the node is not changed."""
    nodes = list(node.walk())
    if any(map(is_misread, nodes)):
        node, rewritten = parenthesised(node), False
    else:
        rewritten = any(type(n) not in _WRITTEN_AS_THEY_STAND for n in nodes)
    generator = DUCKDB.generator(unsupported_level=ErrorLevel.IGNORE)
    text = generator.generate(node, copy=rewritten)
    for message in generator.unsupported_messages:
        if not message.startswith(_OF_NO_CONCERN):
            _LOGGER.warning(message)
    return text
