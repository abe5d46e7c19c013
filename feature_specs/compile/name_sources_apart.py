"""Give every source of a query a name of its own, however deep it stands.

Later passes merge subqueries into the queries around them. Two tables of one name in different
places would then stand for each other: ``o.k = e.k`` over a model that both read could come to
compare a row with itself.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from feature_specs.compile.draft import Draft


def name_sources_apart(draft: Draft) -> Draft:
    """Rename each source whose name another one has; needs qualified columns."""
    tree = draft.tree.copy()
    # All is looked up before anything is renamed: a scope tells its own columns by their tables.
    sources: list[tuple[str, exp.Expr, list[exp.Column]]] = []
    for scope in traverse_scope(tree):
        columns = list(scope.columns)
        for name, (source, _) in scope.selected_sources.items():
            sources.append((name, source, [c for c in columns if c.table == name]))
    taken = {name for name, _, _ in sources}
    seen: set[str] = set()
    for name, node, columns in sources:
        if name not in seen:
            seen.add(name)
            continue
        fresh = next(f"{name}_{i}" for i in range(2, len(taken) + 3) if f"{name}_{i}" not in taken)
        taken.add(fresh)
        rename_source(node, fresh)
        for column in columns:
            column.set("table", exp.to_identifier(fresh, quoted=True))
    return replace(draft, tree=tree)


def rename_source(node: exp.Expr, name: str) -> None:
    """Give a source of FROM, as a scope shows it, another name."""
    source: exp.Expr = node
    if isinstance(node, (exp.Select, exp.SetOperation)):
        source = node.find_ancestor(exp.Subquery) or node  # a scope shows what it holds
    alias = source.args.get("alias")
    if isinstance(alias, exp.TableAlias):
        alias.set("this", exp.to_identifier(name, quoted=True))
    else:
        source.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
