"""Refuse an author's name that begins like forebay's own: compiled SQL and its proof trust those."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.request_values import request_of
from feature_specs.errors import CompileError, Location
from feature_specs.names import OWN_COLUMNS, OWN_TABLES, is_reserved


def refuse_reserved_names(draft: Draft) -> Draft:
    """Look at every column, alias, table and CTE of the inlined query, and at its leaves.

    Raises:
        CompileError: a name begins with ``fb_`` or ``forebay_``, in whichever case, quoted or not.

    >>> show(refuse_reserved_names, "select k, x as fb_row from events")
    v.sql:1:21: alias "fb_row" begins like forebay's own names (fb_..., forebay_...). Hint:
    rename it: in the query, or where the table is made
    """
    for leaf in draft.leaves.values():
        table = exp.to_table(leaf.name, dialect="duckdb").name
        taken = next((n for n in (table, *leaf.columns) if is_reserved(n)), None)
        if taken is not None:
            kind = "table" if taken == table else f"column of {leaf.name}"
            _refuse(kind, taken, leaf.where or Location(draft.file))
    for node in draft.tree.walk():
        if isinstance(node, exp.Identifier):
            if is_reserved(node.name) and not _is_elsewhere(draft, node):
                _refuse(_kind(node), node.name, draft.locate(node))
        elif isinstance(node, exp.Cast):
            request = request_of(node)
            if request is not None and is_reserved(request.name):
                _refuse("request", request.name, draft.locate(node))
    return draft


def _is_elsewhere(draft: Draft, node: exp.Identifier) -> bool:
    """A field of a struct, a schema or database, or a leaf, whose own name was looked at."""
    if isinstance(node.parent, exp.Dot):
        return node.arg_key == "expression"
    if isinstance(node.parent, exp.Table):
        return node.arg_key != "this" or node.name in draft.leaves
    return isinstance(node.parent, exp.Column) and node.arg_key in ("db", "catalog")


def _kind(node: exp.Identifier) -> str:
    if isinstance(node.parent, exp.Column):
        return "table" if node.arg_key == "table" else "column"
    return "table" if isinstance(node.parent, exp.Table) else "alias"


def _refuse(kind: str, name: str, where: Location | str) -> None:
    raise CompileError(
        f'{kind} "{name}" begins like forebay\'s own names ({OWN_COLUMNS}..., {OWN_TABLES}...)',
        where=where,
        hint="rename it: in the query, or where the table is made",
    )
