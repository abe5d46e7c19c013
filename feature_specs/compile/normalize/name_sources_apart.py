"""Give every source of a query a name of its own, however deep it stands.

Later passes merge subqueries into the queries around them. Two tables of one name in different
places would then stand for each other: ``o.k = e.k`` over a model that both read could come to
compare a row with itself. Passes also speak of column ``b`` of table ``a`` as ``a__b``, which has to be
one column's name only.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from feature_specs.compile.draft import Draft


def name_sources_apart(draft: Draft) -> Draft:
    """Rename each source whose name another one has; needs qualified columns.

    >>> show(
    ...     name_sources_apart,
    ...     "select e.k from events e where exists (select 1 from (select e.k from events e) "
    ...     "o where o.k = e.k)",
    ... )
    SELECT "e_2"."k" AS "k" FROM "events" AS "e_2" WHERE EXISTS(SELECT 1 AS "1" FROM (SELECT
    "e"."k" AS "k" FROM "events" AS "e") AS "o" WHERE "o"."k" = "e_2"."k")
    """
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
        if name not in seen and _tells_apart(draft, name, taken):
            seen.add(name)
            continue
        fresh = _fresh(draft, name, taken)
        taken.add(fresh)
        rename_source(node, fresh)
        for column in columns:
            column.set("table", exp.to_identifier(fresh, quoted=True))
    return replace(draft, tree=tree)


def _tells_apart(draft: Draft, name: str, names: set[str]) -> bool:
    """``name__column`` is a column of no other source, and no key of the view."""
    longer = any(n != name and f"{name}__".startswith(f"{n}__") for n in names)
    return not longer and not any(e.startswith(f"{name}__") for e in draft.view.entities)


def _fresh(draft: Draft, name: str, taken: set[str]) -> str:
    """A name that no source has."""
    names = (f"{name.replace('__', '_').strip('_') or 't'}_{number}" for number in count(2))
    return next(n for n in names if n not in taken and _tells_apart(draft, n, taken))


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
