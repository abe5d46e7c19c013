"""Give every common table expression of a statement a name of its own.

Inner ones may hide outer ones by name, or tables: ``with events as (select * from events)``. Whoever
looks for a name later must not have to ask where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from feature_specs.names import fold_name


def name_ctes_apart(tree: exp.Expr, taken: Iterable[str] = ()) -> None:
    """Rename, in place, CTEs whose names are ambiguous or taken, ignoring case."""
    seen = {fold_name(name) for name in taken}
    for cte in list(tree.find_all(exp.CTE)):
        name = cte.alias
        if fold_name(name) in seen:
            number = 2
            while fold_name(f"{name}__{number}") in seen:
                number += 1
            _rename(cte, f"{name}__{number}")
        seen.add(fold_name(cte.alias))


def _rename(cte: exp.CTE, new: str) -> None:
    old, holder = cte.alias, cte.parent
    query = holder.parent if holder is not None else None
    for table in list(query.find_all(exp.Table)) if query is not None else []:
        if fold_name(table.name) == fold_name(old) and not table.db and _nearest(table, old) is cte:
            alias = table.alias or table.name
            table.set("this", exp.to_identifier(new, quoted=True))
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    cte.args["alias"].set("this", exp.to_identifier(new, quoted=True))


def _nearest(node: exp.Expr, name: str) -> exp.Expr | None:
    """The CTE that a name refers to: the innermost one defined before that point."""
    here: exp.Expr | None = node
    while here is not None:
        within = here.args.get("with_")
        found = None
        for cte in within.expressions if within is not None else []:
            if any(cte is above for above in _above(node)):
                break  # a CTE's own definition sees only earlier ones
            if fold_name(cte.alias) == fold_name(name):
                found = cte
        if found is not None:
            return found  # type: ignore[no-any-return]
        here = here.parent
    return None


def _above(node: exp.Expr) -> list[exp.Expr]:
    found = [node]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found
