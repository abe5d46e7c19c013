"""A relation in the lineage: what reaches each of its columns, and what decides its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from feature_specs.leaf import Leaf
from lineage.effects import Column, Effect, Effects, together

_KEPT = Effect("IDENTITY")


@dataclass(frozen=True)
class Relation:
    """A table, a subquery or a SELECT.

    Attributes:
        columns: by name in lower case, what reaches a column's values, given the row.
        rows: what decides which rows there are, and how many.
        unique: sets of columns of which no two rows have the same values.
        copies: what decides how often a row is there, and never whether it is.
    """

    columns: Mapping[str, Effects]
    rows: Effects = field(default_factory=dict)
    unique: Sequence[frozenset[str]] = ()
    copies: Effects = field(default_factory=dict)

    @property
    def whole(self) -> Effects:
        """All that reaches anything of it."""
        return together([self.rows, self.copies, *self.columns.values()])

    def with_effects(self, more: Effects) -> Relation:
        """The relation, each of whose columns something more reaches."""
        columns = {n: together([e, more]) for n, e in self.columns.items()}
        return replace(self, columns=columns)

    def named(self, names: Sequence[str]) -> Relation:
        """The relation under other names for its first columns."""
        if not names:
            return self
        renamed = dict(zip(self.columns, names, strict=False))
        columns = {renamed.get(n, n): e for n, e in self.columns.items()}
        unique = [frozenset(renamed.get(n, n) for n in key) for key in self.unique]
        return replace(self, columns=columns, unique=unique)


def of_leaf(leaf: Leaf, spelled: Mapping[str, str]) -> Relation:
    """A leaf, cut down to the rows that are visible at some instant.

    Args:
        spelled: columns by their names in lower case, as the leaf's table has them.
    """

    def column(name: str) -> Column:
        return leaf.name, spelled.get(name, name)

    def effect(names: Iterable[str | None], how: Effect) -> Effects:
        return {column(n): frozenset({how}) for n in names if n is not None}

    columns = {n: effect([n], _KEPT) for n in leaf.columns}
    masked = dict(leaf.known_later)
    if leaf.valid_to is not None:
        masked[leaf.valid_to] = leaf.valid_to  # null while it is in the future
    for name, known in masked.items():
        columns[name] = together([columns[name], effect([known], Effect("CONDITIONAL"))])
    loaded = None if leaf.visibility == "event" else leaf.loaded_at
    # Of a history too: a version that ends before it begins is never visible.
    times = [leaf.event_time, loaded, leaf.valid_from, leaf.valid_to]
    rows = [effect(times, Effect("FILTER"))]
    if leaf.changelog is not None:
        rows.append(effect(leaf.changelog.key, Effect("GROUP_BY")))
        rows.append(effect([leaf.event_time, loaded], Effect("SORT")))
        rows.append(effect([leaf.changelog.deleted], Effect("FILTER")))
        rows.append(effect(leaf.columns, Effect("SORT", tie=True)))
    unique = [frozenset(leaf.changelog.key)] if leaf.changelog is not None else []
    return Relation(columns, together(rows), unique)


def both(left: Relation, right: Relation) -> Relation:
    """The rows of two relations, whose columns match by position."""
    names = list(left.columns)
    pairs = zip(names, right.columns.values(), strict=False)
    columns = {n: together([left.columns[n], found]) for n, found in pairs}
    copies = together([left.copies, right.copies])
    return Relation({**left.columns, **columns}, together([left.rows, right.rows]), copies=copies)
