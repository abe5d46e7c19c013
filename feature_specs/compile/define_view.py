"""A view's definition as plain data, so that two can be compared long after each was compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlglot import ErrorLevel, exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.parenthesise import parenthesised
from feature_specs.compiler_version import COMPILER_VERSION
from feature_specs.leaf import Leaf

#: Clauses to what an author calls them.
_CLAUSES = {
    "from_": "from", "joins": "joins", "laterals": "laterals", "where": "where", "group": "group by",
    "having": "having", "qualify": "qualify", "windows": "window", "distinct": "distinct",
    "order": "order by", "limit": "limit", "offset": "offset", "sample": "sample",
}  # fmt: skip
_CONDITIONS = ("where", "having", "qualify")
#: Of a leaf: what decides no value, or stands elsewhere.
_NOT_OF_A_LEAF = ("name", "columns", "where", "rows_per_key")


def define_view(draft: Draft, types: Mapping[str, str]) -> dict[str, Any]:
    """The view's definition in canonical SQL: features, the clauses of each query, leaves, options.

    Args:
        types: the DuckDB type of each feature.
    """
    view = draft.view
    queries: dict[str, dict[str, Any]] = {}
    for select in draft.tree.find_all(exp.Select):
        path, number = _path(select), 2
        name = path
        while name in queries:
            name, number = f"{path} {number}", number + 1
        queries[name] = _clauses(select)
    columns = queries.get("", {}).pop("columns", {})
    at_reading = {f.name for f in draft.features if f.expression is not None}
    return {
        "view": view.name,
        "compiler": COMPILER_VERSION,
        "entities": list(view.entities),
        "event_time": view.event_time,
        "ttl": view.ttl.total_seconds() if view.ttl is not None else None,
        "boundary": view.boundary,
        "tie_break": list(view.tie_break),
        "features": {
            draft.label(f.name): {
                "sql": columns.get(f.name, ""),
                "type": types[f.name],
                "at_reading": f.name in at_reading,
            }
            for f in draft.features
        },
        "keys": {
            name: sql
            for name, sql in columns.items()
            if name in view.entities or name == view.event_time
        },
        "queries": queries,
        "leaves": {leaf.name: _roles(leaf) for leaf in draft.leaves.values()},
    }


def _path(select: exp.Select) -> str:
    """The names of the subqueries that hold a SELECT, outermost first; empty for the view's own."""
    names: list[str] = []
    node: exp.Expr = select
    while node.parent is not None:
        parent = node.parent
        if isinstance(parent, (exp.Subquery, exp.CTE)) and parent.alias:
            names.append(parent.alias)
        elif isinstance(parent, exp.SetOperation):
            names.append("first part" if node.arg_key == "this" else "second part")
        node = parent
    return " > ".join(reversed(names))


def _clauses(select: exp.Select) -> dict[str, Any]:
    """Each clause as text, conditions as lists; a subquery that has a name stands for itself."""
    bare = select.copy()
    for inner in list(bare.find_all(exp.Subquery)):
        if inner.alias and isinstance(inner.parent, (exp.From, exp.Join)):
            inner.replace(exp.to_table(inner.alias))
    out: dict[str, Any] = {"columns": {e.alias_or_name: _sql(e.unalias()) for e in bare.selects}}
    for key, value in bare.args.items():
        name = _CLAUSES.get(key)
        if name is None or not value:
            continue
        if name in _CONDITIONS:
            test = value.this
            parts = test.flatten() if isinstance(test, exp.And) else [test]
            out[name] = [_sql(part) for part in parts]
        else:
            nodes = value if isinstance(value, list) else [value]
            out[name] = " ".join(_sql(n) if isinstance(n, exp.Expr) else str(n) for n in nodes)
    return out


def _sql(node: exp.Expr) -> str:
    return parenthesised(node).sql("duckdb", comments=False, unsupported_level=ErrorLevel.IGNORE)


def _roles(leaf: Leaf) -> dict[str, str]:
    """What is declared of a leaf beyond the defaults, as text."""
    said = {f.name: getattr(leaf, f.name) for f in fields(leaf) if f.name not in _NOT_OF_A_LEAF}
    defaults = {f.name: f.default for f in fields(leaf)}
    kept = {n: v for n, v in said.items() if v != defaults[n] and v not in ({}, None)}
    return {"role": str(leaf.role), **{n: str(v) for n, v in kept.items()}}
