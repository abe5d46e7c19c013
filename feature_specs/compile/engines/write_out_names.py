"""Write out what only DuckDB resolves: named windows, and select aliases in other clauses."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.trace_columns import Trace
from feature_specs.names import OWN_COLUMNS, fold_name

_CLAUSES = ("group", "where", "having", "qualify")


def write_out_names(tree: exp.Expr, trace: Trace) -> None:
    """In place."""
    for select in list(tree.find_all(exp.Select)):
        _windows(select)
        _aliases(select, trace)


def _windows(select: exp.Select) -> None:
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


def _aliases(select: exp.Select, trace: Trace) -> None:
    """``select f(x) as a ... group by a``: other engines group by expressions only."""
    items = {s.alias: s.unalias() for s in select.expressions if s.alias}
    sources = trace.sources(select)
    known = {n for names in sources.values() for n in names or ()}
    unsure = any(names is None for names in sources.values())
    for clause in _CLAUSES:
        part = select.args.get(clause)
        for column in list(part.find_all(exp.Column)) if part is not None else []:
            if column.table or column.parent_select is not select or column.name not in items:
                continue
            item = items[column.name]
            # A column of the tables comes before an alias of the same name.
            if column.name in known or (unsure and not _marked(column.name)):
                continue
            if isinstance(item, exp.Column) and item.name == column.name:
                continue
            value = item.copy()
            column.replace(value if clause == "group" else exp.paren(value))


def _marked(name: str) -> bool:
    """A name of the compiler's own, which no table has."""
    return name.startswith(OWN_COLUMNS)
