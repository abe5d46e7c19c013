"""Divide integers as the author's dialect does, where that is not DuckDB's."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types

from feature_specs.compile.draft import Draft
from feature_specs.compile.duckdb_sql import DUCKDB, duckdb_sql
from feature_specs.errors import CompileError

#: A division that is one of integers where both sides are, until their types are known.
TYPED_DIVISION = "fb_divide"


def mark_typed_divisions(query: exp.Expr) -> None:
    """In place, in a tree of a dialect that divides integers to an integer."""
    for node in list(query.find_all(exp.Div)):
        if node.args.get("typed"):
            node.replace(
                exp.Anonymous(this=TYPED_DIVISION, expressions=[node.this, node.expression])
            )


def type_divisions(draft: Draft) -> Draft:
    """Write each as ``//`` or ``/``, by the types of its sides.

    Raises:
        CompileError: a type is not known.
    """
    if not _marked(draft.tree):
        return draft
    tree = draft.tree.copy()
    while marked := _marked(tree):
        annotate_types(tree, schema=draft.schema, dialect=DUCKDB)
        # The deepest comes last, so the types of its sides follow.
        marked[-1].replace(_division(draft, marked[-1]))
    return replace(draft, tree=tree)


def _marked(tree: exp.Expr) -> list[exp.Anonymous]:
    return [n for n in tree.find_all(exp.Anonymous) if n.name.lower() == TYPED_DIVISION]


def _division(draft: Draft, node: exp.Anonymous) -> exp.Expr:
    left, right = (
        exp.paren(e, copy=False) if isinstance(e, exp.Binary) else e for e in node.expressions
    )
    kinds = {_kind(e) for e in node.expressions}
    if kinds == {"whole"}:
        return exp.IntDiv(this=left, expression=right)
    if "fraction" in kinds:
        return exp.Div(this=left, expression=right)
    raise CompileError(
        f"`/` divides integers to an integer in {draft.dialect}, and whether "
        f"{' and '.join(map(duckdb_sql, node.expressions))} are integers is not known",
        where=draft.locate(node),
        mend="cast one side to double, or both to bigint",
    )


def _kind(node: exp.Expr) -> str:
    if node.is_type(*exp.DataType.INTEGER_TYPES):
        return "whole"
    if node.is_type(*exp.DataType.REAL_TYPES) or node.is_type(*exp.DataType.FLOAT_TYPES):
        return "fraction"
    return ""
