"""What a step over a feature table reads and adds, as the compiler writes it and the lakehouse runs it.

Like the catalog it is plain data: who runs a step need not load the compiler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from feature_specs.leaf import leaf_key


def added_relation(leaf: str) -> str:
    """The relation of the rows added to a leaf since D0."""
    return f"forebay_added_{leaf_key(leaf)}"


def kept_relation(leaf: str) -> str:
    """The relation of the rows of D0 that start or end in between."""
    return f"forebay_kept_{leaf_key(leaf)}"


@dataclass(frozen=True)
class Edge:
    """A row starts, or ends, when its column's value plus an offset is reached, in microseconds.

    Attributes:
        slack: how far off that may be, where the column is a date or a naive timestamp.
    """

    column: str
    offset: int
    slack: int = 0


@dataclass(frozen=True)
class Deltas:
    """How a feature table is brought forward by deltas.

    Attributes:
        leaf: name of the one leaf whose rows come and go.
        sums: the running sums, each with SQL of it over a row of the table: a column of the same
            name that is there for that alone, or a stored column that says the same.
        fold: the sums over the rows in ``forebay_added_<leaf>``; parameter ``$as_of``.
        deltas: what is to be added to the sums, over the rows in ``forebay_kept_<leaf>`` (of D0,
            at least all that start or end between) and ``forebay_added_<leaf>`` (all added since);
            ``$before`` and ``$as_of``.
        finish: the rows of the table, over the sums of every group in ``forebay_summed``.
        edges: when rows start or end, for any of the windows.
        starts, ends: a row lives after all of these starts, before all of these ends.
    """

    leaf: str
    sums: Mapping[str, str]
    fold: str
    deltas: str
    finish: str
    edges: tuple[Edge, ...]
    starts: tuple[Edge, ...]
    ends: tuple[Edge, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that hold sums alone."""
        return tuple(name for name, sql in self.sums.items() if name == sql)
