"""Rename a table that a column of its name hides from a subquery.

Where ``a.b`` stands in a subquery, ``a`` may be a table of a query around it, or a column in reach
whose field is meant. DuckDB takes the field if the column is a struct; SQLGlot, some levels deeper,
whatever the column is. Under a name of its own the table can be nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from feature_specs.compile.draft import Draft
from feature_specs.compile.normalize.name_sources_apart import rename_source
from feature_specs.compile.sql.relation_names import relation_key
from feature_specs.errors import CompileError
from feature_specs.names import fold_name

_WITH_FIELDS = ("STRUCT", "UNION", "ROW")


def show_hidden_tables(draft: Draft) -> Draft:
    """Give such tables an alias, before columns are qualified.

    Raises:
        CompileError: the column that hides the table may have such a field.

    >>> show(
    ...     show_hidden_tables,
    ...     "select k, (select max(e.x) from events as e where e.k = ok.k) as most from "
    ...     "versions as ok",
    ... )
    SELECT k, (SELECT MAX(e.x) FROM events AS e WHERE e.k = "ok_1".k) AS most FROM versions
    AS "ok_1"
    """
    if sum(1 for _ in draft.tree.find_all(exp.Query)) < 2:
        return draft
    tree = draft.tree.copy()
    scopes = traverse_scope(tree)
    read = [(scope, c) for scope in scopes for c in scope.find_all(exp.Column) if c.table]
    hidden: dict[tuple[int, str], Scope] = {}
    for scope, column in read:
        table = fold_name(column.table)
        owner = _owner(scope, table)
        hiding = [] if owner in (None, scope) else list(_hiding(draft, scope, table))
        if owner is None or not hiding:
            continue
        if any(kind is None or kind.upper().startswith(_WITH_FIELDS) for kind in hiding):
            raise CompileError(
                f"{column.table}.{column.name} is a column of {column.table} outside the "
                f"subquery, or a field of a column {column.table} inside it",
                where=draft.locate(column),
                hint=f"give the table an alias that is not a column's name: {column.table}_",
            )
        hidden[id(owner), table] = owner
    for (_, table), owner in hidden.items():
        fresh = _fresh(table, scopes)
        for scope, column in read:
            if fold_name(column.table) == table and _owner(scope, table) is owner:
                column.set("table", exp.to_identifier(fresh, quoted=True))
        node = next(
            n for name, (n, _) in owner.selected_sources.items() if fold_name(name) == table
        )
        rename_source(node, fresh)
    return replace(draft, tree=tree) if hidden else draft


def _owner(scope: Scope | None, table: str) -> Scope | None:
    """The nearest query around that reads from a table of that name."""
    while scope is not None and table not in _names(scope):
        scope = scope.parent
    return scope


def _names(scope: Scope) -> set[str]:
    return {fold_name(name) for name in scope.selected_sources}


def _hiding(draft: Draft, scope: Scope | None, table: str) -> Iterator[str | None]:
    """Types of columns of that name between the subquery and the table; None for unknown ones."""
    while scope is not None and table not in _names(scope):
        for _, source in scope.selected_sources.values():
            yield from _types(draft, source, table)
        scope = scope.parent


def _types(draft: Draft, source: Scope | exp.Expr, column: str) -> Iterator[str | None]:
    query = source.expression if isinstance(source, Scope) else source
    if isinstance(query, exp.Query) and column in map(fold_name, query.named_selects):
        yield None
    elif isinstance(query, exp.Table) or (isinstance(query, exp.Query) and query.is_star):
        for table in query.find_all(exp.Table):
            leaf = draft.leaves.get(relation_key(table))
            if leaf is not None and column in leaf.columns:
                yield leaf.columns[column]


def _fresh(table: str, scopes: list[Scope]) -> str:
    taken = {name for scope in scopes for name in _names(scope)}
    number = 1
    while f"{table}_{number}" in taken:
        number += 1
    return f"{table}_{number}"
