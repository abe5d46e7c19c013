"""The usual lookup, any number of views of one entity, in one pass: its partition's rows to the answer.

It gives what the general way (`serving.stores.cql.store`) gives, or nothing where a row needs a closer
look. What a lookup's views decide is kept by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from serving.stores.cql.fast_reads import Statement
from serving.stores.cql.hot import Chosen
from serving.stores.cql.schema import READ_ENTITY, READ_ROW, group_name
from serving.stores.cql.versions import Versions
from serving.stores.protocol import Slice, StoredView

#: Of a view the colour of its slots, the least and the greatest mark of a row that counts, and its
#: state. The colour is `_CLOSER` where marks alone do not tell.
Head: TypeAlias = tuple[int, int, int, bytes]
_CLOSER = -1

#: Lookups of which the views are kept.
_SHAPES = 1000

_new_slice = tuple.__new__


def heads_of(committed: Mapping[str, Versions]) -> dict[str, Head]:
    """What `choose` needs of the views that have rows."""
    return {
        name: (
            _CLOSER if known.aborted else known.colour,
            known.base * 2,
            known.committed * 2 + 1,
            known.state,
        )
        for name, known in committed.items()
        if known.state is not None
    }


class Shape:
    """Views that are asked for together.

    Attributes:
        group: their key columns; None where they have not the same.
    """

    def __init__(self, views: Sequence[StoredView]) -> None:
        columns = {entities for _, entities in views}
        self.group = group_name(columns.pop()) if len(columns) == 1 else None
        self._names = [name for name, _ in views]
        self._heads: Mapping[str, Head] | None = None
        self._states: list[tuple[str, bytes | None]] = []

    def statement(self, key: bytes) -> Statement:
        """The statement that reads one entity. Of a single view it reads the rows alone."""
        if len(self._names) > 1:
            return READ_ENTITY, [self.group, key]
        return READ_ROW, [self.group, key, self._names[0]]

    def answer(self, chosen: Chosen, heads: Mapping[str, Head]) -> dict[str, Slice]:
        """Each view's slice."""
        if heads is not self._heads:
            self._heads = heads
            self._states = [(n, heads[n][3] if n in heads else None) for n in self._names]
        row = chosen.get
        return {
            name: _new_slice(Slice, (state, [None if state is None else row(name)]))
            for name, state in self._states
        }


class Shapes:
    """The shapes of lookups."""

    def __init__(self) -> None:
        self._known: dict[tuple[StoredView, ...], Shape] = {}

    def of_one(self, wanted: Mapping[StoredView, Sequence[bytes]]) -> tuple[Shape, bytes] | None:
        """The shape and the key of a lookup of one entity; None of another one."""
        first: Sequence[bytes] | None = None
        for keys in wanted.values():
            if first is None:
                first = keys
                if len(first) != 1:
                    return None
            elif keys is not first and keys != first:
                return None
        if first is None:
            return None
        views = tuple(wanted)
        shape = self._known.get(views)
        if shape is None:
            if len(self._known) >= _SHAPES:
                self._known.clear()
            shape = self._known[views] = Shape(views)
        return None if shape.group is None else (shape, first[0])


def choose(rows: Sequence[Sequence[Any]], heads: Mapping[str, Head]) -> Chosen | None:
    """The row of each view in a partition; None where one has to be looked at closer.

    Args:
        rows: view, slot, mark and row each, those of a view side by side, as the server sorts them.
    """
    found: Chosen = {}
    before, best = "", 0
    for view, slot, mark, row in rows:
        head = heads.get(view)
        if head is None:
            continue
        colour, least, greatest, _ = head
        if slot >> 1 != colour:
            if colour == _CLOSER:
                return None
            continue
        # Removed, of before all was replaced, or of a later commit: marks alone do not tell.
        if not least <= mark <= greatest:
            return None
        if view == before and mark < best:
            continue
        before, best = view, mark
        found[view] = row
    return found
