"""Which columns of each leaf a view reads: a change to any other concerns none of its values."""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import Draft
from feature_specs.compile.leaves.leaf_tables import leaf_of
from feature_specs.leaf import Leaf
from feature_specs.names import fold_name


def find_reads(draft: Draft) -> dict[str, tuple[str, ...]]:
    """Name of each leaf to the columns that its rows are read by, in lower case and in order; perhaps
    some more of them, never fewer.

    Leaves whose rows are read as a whole are left out: of a changelog's changes at one instant all
    columns say which one counts.
    """
    columns = list(draft.stored.find_all(exp.Column))
    # A row as a whole is named by its table alone.
    rows = {fold_name(row.name) for row in draft.stored.find_all(exp.TableColumn)}
    rows |= {fold_name(c.name) for c in columns if not c.table}
    found: dict[str, set[str]] = {}
    whole: set[str] = set()
    for table in draft.stored.find_all(exp.Table):
        leaf = leaf_of(draft, table)
        if leaf is None:
            continue
        alias = fold_name(table.alias_or_name)
        if alias in rows or leaf.changelog is not None:
            whole.add(leaf.name)
        named = {fold_name(c.name) for c in columns if fold_name(c.table) == alias}
        known = {fold_name(name) for name in leaf.columns}
        found.setdefault(leaf.name, set()).update((named | _roles(leaf)) & known)
    return {name: tuple(sorted(read)) for name, read in found.items() if name not in whole}


def _roles(leaf: Leaf) -> set[str]:
    """The columns that say when a row counts."""
    times = (leaf.event_time, leaf.loaded_at, leaf.valid_from, leaf.valid_to)
    named = [*(c for c in times if c), *leaf.known_later, *leaf.known_later.values()]
    return {fold_name(name) for name in named}
