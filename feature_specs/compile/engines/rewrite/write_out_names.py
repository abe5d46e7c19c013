"""Write out what only DuckDB resolves: named windows, and select aliases in other clauses."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.rewrite.trace_columns import Trace
from feature_specs.compile.sql.named_windows import expand_named_windows
from feature_specs.names import OWN_COLUMNS

_CLAUSES = ("group", "where", "having", "qualify")


def write_out_names(statement: EngineStatement) -> None:
    """Replace named windows and select aliases by what they stand for, in place.

    >>> show(
    ...     write_out_names,
    ...     "select upper(k) as u, count(*) as n from events group by u",
    ...     "trino",
    ... )
    SELECT UPPER(k) AS u, COUNT(*) AS n FROM events GROUP BY UPPER(k)
    """
    tree, trace = statement.tree, statement.trace
    for select in list(tree.find_all(exp.Select)):
        expand_named_windows(select)
        _aliases(select, trace)


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
