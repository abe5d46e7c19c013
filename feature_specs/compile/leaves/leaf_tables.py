"""Where a query reads a leaf, and under which relation."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.sql.duckdb_sql import DUCKDB
from feature_specs.compile.sql.relation_names import name_key, relation_key
from feature_specs.leaf import Leaf


def read_leaves(draft: Draft, query: exp.Expr, relations: Mapping[str, str] | None = None) -> None:
    """Point every leaf scan at its relation, in place."""
    for table in list(query.find_all(exp.Table)):
        leaf = leaf_of(draft, table)
        if leaf is None:
            continue
        other = (relations or {}).get(leaf.name)
        target = exp.to_table(other, dialect=DUCKDB) if other else leaf_table(leaf)
        target.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name, True)))
        target.set("joins", table.args.get("joins"))
        table.replace(target)


def leaf_of(draft: Draft, table: exp.Table) -> Leaf | None:
    """The leaf that a scan reads, named by its key or as its relation; None of a CTE."""
    if not table.db:
        return draft.leaves.get(table.name)
    key = relation_key(table)
    return next((x for x in draft.leaves.values() if name_key(x.name) == key), None)


def leaf_table(leaf: Leaf) -> exp.Table:
    """The leaf's table, as the author's SQL names it."""
    table = exp.to_table(leaf.name, dialect=DUCKDB)
    for part in table.parts:
        part.set("quoted", True)
    return table
