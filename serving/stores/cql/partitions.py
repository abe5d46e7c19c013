"""The general lookup's partitions: what is read for any views and keys, and which of the rows count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.stores.cql.fast_reads import Statement
from serving.stores.cql.hot import Asked, Chosen, Hot, asked
from serving.stores.cql.schema import READ_ENTITY, READ_ROW, group_name
from serving.stores.cql.versions import Missing, Stored, Versions, choose, is_gone
from serving.stores.protocol import Slice, StoredView

_Wanted = Mapping[StoredView, Sequence[bytes]]
_NOTHING = Versions()


class _Group:
    """The views of a lookup with the same key columns: they share partitions."""

    def __init__(self, entities: tuple[str, ...]) -> None:
        self.name = group_name(entities)
        self.views: list[str] = []
        self.numbers: dict[bytes, int] = {}
        # Mostly all views are asked for the same keys.
        self.keys: Sequence[bytes] = ()
        self.places: list[int] = []


class Partitions:
    """The partitions that a lookup reads, and the answer that their rows make."""

    def __init__(self, wanted: _Wanted) -> None:
        groups: dict[tuple[str, ...], _Group] = {}
        partitions: list[tuple[_Group, bytes]] = []
        #: Of each view the partitions of its keys.
        self._places: list[tuple[str, list[int]]] = []
        for (name, entities), keys in wanted.items():
            group = groups.get(entities)
            if group is None:
                group = groups[entities] = _Group(entities)
            group.views.append(name)
            if keys != group.keys:
                for key in keys:
                    if key not in group.numbers:
                        group.numbers[key] = len(partitions)
                        partitions.append((group, key))
                group.keys, group.places = keys, [group.numbers[key] for key in keys]
            self._places.append((name, group.places if keys else []))
        # Of a single view its rows alone: an entity may have many views.
        self.statements: list[Statement] = [
            (READ_ENTITY, [group.name, key])
            if len(group.views) > 1
            else (READ_ROW, [group.name, key, group.views[0]])
            for group, key in partitions
        ]
        self._asked: list[Asked] = list(map(asked, self.statements))

    def known(self, hot: Hot) -> tuple[list[Chosen | None], list[Statement]]:
        """What is known of each partition, and the statements that read the others."""
        chosen = [hot.get(key) for key in self._asked]
        if None not in chosen:
            return chosen, []
        found = zip(chosen, self.statements, strict=True)
        return chosen, [statement for rows, statement in found if rows is None]

    def slices(
        self,
        known: list[Chosen | None],
        found: Sequence[list[Any]],
        committed: Mapping[str, Versions],
        hot: Hot,
    ) -> tuple[dict[str, Slice], set[str]]:
        """Each view's slice, and the views of which some row cannot be told.

        Args:
            known: as `known` gives it; found: what was read of the others.
        """
        unsure: set[str] = set()
        read = iter(found)
        chosen: list[Chosen] = []
        for rows, key in zip(known, self._asked, strict=True):
            if rows is None:
                doubtful: set[str] = set()
                rows = choose_all(next(read), committed, doubtful)
                unsure |= doubtful
                if not doubtful:
                    hot.put(key, rows)
            chosen.append(rows)
        answer = {
            name: Slice(
                committed.get(name, _NOTHING).state, [chosen[place].get(name) for place in places]
            )
            for name, places in self._places
        }
        return answer, unsure & answer.keys() if unsure else unsure


def choose_all(
    rows: Sequence[tuple[str, int, int, bytes]],
    committed: Mapping[str, Versions],
    unsure: set[str],
) -> dict[str, bytes]:
    """The row of each view in a partition; views of which none can be told are added to ``unsure``."""
    if len({stored[0] for stored in rows}) == len(rows):
        return _choose_single(rows, committed, unsure)
    slots: dict[str, list[Stored]] = {}
    for view, slot, mark, row in rows:
        kept = slots.get(view)
        if kept is None:
            slots[view] = [(slot, mark, row)]
        else:
            kept.append((slot, mark, row))
    found: dict[str, bytes] = {}
    for view, kept in slots.items():
        versions = committed.get(view)
        if versions is None or versions.state is None:
            continue
        seen = choose(versions, kept)
        if seen is Missing.UNSURE:
            unsure.add(view)
        elif seen is not Missing.ABSENT and not is_gone(seen):
            found[view] = seen[2]
    return found


def _choose_single(
    rows: Sequence[tuple[str, int, int, bytes]],
    committed: Mapping[str, Versions],
    unsure: set[str],
) -> dict[str, bytes]:
    """As `choose_all` where each view has one slot, as most have: without a call a view."""
    found: dict[str, bytes] = {}
    for view, slot, mark, row in rows:
        versions = committed.get(view)
        if versions is None or versions.state is None or slot >> 1 != versions.colour:
            continue
        version = abs(mark) >> 1
        if version > versions.committed:
            unsure.add(view)
        elif (
            version >= versions.base
            and mark > 0
            and (not versions.aborted or versions.counts(version))
        ):
            found[view] = row
    return found
