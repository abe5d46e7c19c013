"""Refuse what makes columns out of data, and names that no column can have."""

from __future__ import annotations

from typing import NoReturn

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError
from feature_specs.names import fold_name

#: What may follow a table in FROM and is looked at; the rest would be lost.
_OF_TABLES = frozenset(
    {"this", "db", "catalog", "alias", "joins", "laterals", "pivots", "sample", "ordinality"}
)
_FIELDS = "write its fields one by one, as in `st.a as a, st.b as b`"


def refuse_shapes(draft: Draft, query: exp.Expr) -> None:
    """Check a text of the author's, or of a model's, before its tables are taken for leaves.

    Raises:
        CompileError: PIVOT, UNPIVOT, a struct spread into columns, an empty name, or a table as it
            was at another time.
    """
    sources = {
        fold_name(s.alias_or_name) for s in query.find_all(exp.Table, exp.DerivedTable, exp.CTE)
    }
    sources |= {fold_name(a.name) for a in query.find_all(exp.TableAlias)}
    for node in query.walk():
        if isinstance(node, exp.Table) and {k for k, v in node.args.items() if v} - _OF_TABLES:
            what = f"{duckdb_sql(node)} reads a table in another state than the present one"
            _refuse(draft, node, what, "name the table alone: forebay reads it as it was")
        if isinstance(node, exp.Pivot):
            _refuse(draft, node, *pivot_fault(node))
        if isinstance(node, exp.Identifier) and node.args.get("quoted") and not node.name:
            _refuse(draft, node.parent or node, 'a name is empty: ""', "give it letters")
        starred = node.table if isinstance(node, exp.Column) and node.is_star else ""
        if starred and fold_name(starred) not in sources:
            what = f"{starred}.* names no table, and spreading a struct is not supported"
            _refuse(draft, node, what, _FIELDS)


def pivot_fault(pivot: exp.Pivot) -> tuple[str, str]:
    """What is wrong with PIVOT or UNPIVOT, and what to write instead."""
    if pivot.args.get("unpivot"):
        hint = "write a SELECT for each column, put together by UNION ALL"
        return "UNPIVOT makes rows of columns, which is not supported", hint
    hint = "write an aggregate for each value, as in `sum(x) filter (where kind = 'a') as a`"
    return "PIVOT makes columns of what is in the data, so they may change", hint


def refuse_spread(draft: Draft, node: exp.Explode) -> None:
    """Raises CompileError for unnest(st) of what is a struct wherever a leaf has such a column."""
    name = fold_name(node.this.name) if isinstance(node.this, exp.Column) else ""
    kinds = [leaf.columns[name].upper() for leaf in draft.leaves.values() if name in leaf.columns]
    if kinds and all(k.startswith("STRUCT") and k.endswith(")") for k in kinds):
        what = f"unnest({name}) spreads a struct into columns, which is not supported"
        _refuse(draft, node, what, _FIELDS)


def refuse_unnamed(draft: Draft, query: exp.Query) -> None:
    """Raises CompileError where an item of the view's select list is computed and has no alias."""
    for item in query.selects:
        inner = item
        while isinstance(inner, (exp.Paren, exp.Cast)):
            inner = inner.this
        if not isinstance(inner, (exp.Alias, exp.Column, exp.Dot, exp.Star)):
            what = f"the feature {duckdb_sql(item)} has no name"
            _refuse(draft, item, what, "give it an alias: `... as n`")


def _refuse(draft: Draft, node: exp.Expr, what: str, hint: str) -> NoReturn:
    raise CompileError(what, where=draft.locate(node), hint=hint)
