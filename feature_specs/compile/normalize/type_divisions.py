"""Divide integers as the author's dialect does, where that is not DuckDB's."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.scope import Scope, traverse_scope

from feature_specs.compile.draft import Draft
from feature_specs.compile.parse.mark_typed_divisions import TYPED_DIVISION
from feature_specs.compile.sql.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.errors import CompileError

#: Dialects in which a part of a date, and a total of bigint, is a numeric.
_NUMERIC_PARTS = ("postgres", "redshift", "materialize", "risingwave")

#: Are of the kind of what they are made of.
_OF_PARTS = (
    exp.Paren, exp.Neg, exp.Abs, exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Coalesce, exp.Min, exp.Max,
    exp.Sum, exp.Greatest, exp.Least, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor,
)  # fmt: skip


def type_divisions(draft: Draft) -> Draft:
    """Write each as ``//`` or ``/``, by the types of its sides.

    Raises:
        CompileError: a type is not known.

    >>> show(type_divisions, "select k, x / 2 as half from events", "postgres")
    SELECT "events"."k" AS "k", "events"."x" // 2 AS "half" FROM "events" AS "events"
    """
    if not _marked(draft.tree):
        return draft
    tree = draft.tree.copy()
    while marked := _marked(tree):
        annotate_types(tree, schema=draft.schema, dialect=DUCKDB)
        # The deepest comes last, so the types of its sides follow.
        deepest = marked[-1]
        select = deepest.find_ancestor(exp.Select)
        scope = next((s for s in traverse_scope(tree) if s.expression is select), None)
        deepest.replace(_division(draft, deepest, scope))
    return replace(draft, tree=tree)


def _marked(tree: exp.Expr) -> list[exp.Anonymous]:
    return [n for n in tree.find_all(exp.Anonymous) if n.name.lower() == TYPED_DIVISION]


def _division(draft: Draft, node: exp.Anonymous, scope: Scope | None) -> exp.Expr:
    left, right = (
        exp.paren(e, copy=False) if isinstance(e, exp.Binary) else e for e in node.expressions
    )
    kinds = {_kind(draft, e, scope) for e in node.expressions}
    if kinds == {"whole"}:
        return exp.IntDiv(this=left, expression=right)
    if "fraction" in kinds:
        return exp.Div(this=left, expression=right)
    raise CompileError(
        f"`/` divides integers to an integer in {draft.dialect}, and whether "
        f"{' and '.join(map(duckdb_sql, node.expressions))} are integers is not known",
        where=draft.locate(node),
        hint="cast one side to double, or both to bigint",
    )


def _kind(draft: Draft, node: exp.Expr, scope: Scope | None) -> str:
    """``whole`` or ``fraction`` where the author's dialect surely has it so, else empty.

    PostgreSQL has numbers with a fraction where DuckDB has integers: parts of dates, totals of bigint.
    """
    if node.is_type(*exp.DataType.REAL_TYPES) or node.is_type(*exp.DataType.FLOAT_TYPES):
        return "fraction"
    if isinstance(node, exp.Column):
        source = scope.sources.get(node.table) if scope is not None else None
        if not isinstance(source, Scope):
            return "whole" if node.is_type(*exp.DataType.INTEGER_TYPES) else ""
        items = source.expression.selects if isinstance(source.expression, exp.Select) else []
        item = next((i.unalias() for i in items if i.alias_or_name == node.name), None)
        return _kind(draft, item, source) if item is not None else ""
    if isinstance(node, (exp.Filter, exp.Window, exp.Nullif)):
        return _kind(draft, node.this, scope)
    if not node.is_type(*exp.DataType.INTEGER_TYPES):
        return ""
    if isinstance(
        node, (exp.Literal, exp.Cast, exp.Count, exp.CountIf, exp.IntDiv, exp.Length, exp.Unicode)
    ):
        return "whole"
    if isinstance(node, exp.Sum) and draft.dialect in _NUMERIC_PARTS:
        narrow = node.this.is_type("tinyint", "smallint", "int")
        return _kind(draft, node.this, scope) if narrow else "fraction"
    if isinstance(node, (exp.Extract, exp.Day, exp.Month, exp.Year, exp.Hour)):
        return "fraction" if draft.dialect in _NUMERIC_PARTS else "whole"
    if isinstance(node, (*_OF_PARTS, exp.Case)):
        parts = _parts(node)
        kinds = {_kind(draft, p, scope) for p in parts}
        return kinds.pop() if len(kinds) == 1 else ""
    return ""


def _parts(node: exp.Expr) -> list[exp.Expr]:
    """The expressions whose values the node's is made of."""
    if isinstance(node, exp.Case):
        found = [branch.args["true"] for branch in node.args["ifs"]]
        found += [node.args["default"]] if node.args.get("default") is not None else []
    else:
        found = list(node.iter_expressions())
    return [part for part in found if not isinstance(part, exp.Null)]
