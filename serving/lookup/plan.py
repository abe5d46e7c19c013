"""Plans: everything about a lookup that its names decide, whatever the values.

A plan is made once for a request's shape, that is the features asked and the names of the columns
sent, and read as often as values come for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from feature_specs.catalog import Column
from feature_specs.errors import ForebayError
from feature_specs.names import fold_name
from serving.keys import Coercer, encode_key
from serving.lookup.errors import InvalidRequestError, MissingValueError
from serving.lookup.values import KeyColumn, request_coercer
from serving.lookup.views import Computed, ReadyView, ready_view

#: (view, feature), spelled as their authors have them.
Reference = tuple[str, str]
#: The columns of values of one request, by their names in lower case, all of one length.
Given = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class KeyGroup:
    """Key columns, which all views with the same ones share.

    Attributes:
        columns: for each, where its values stand in what is given, and their encoder.
    """

    columns: tuple[tuple[str, KeyColumn], ...]

    def keys(self, given: Given) -> list[bytes | None]:
        """The key of each row in the store; None where a part is null.

        Raises:
            DataError: a value is of the wrong type.
        """
        parts = [encode(given[name]) for name, encode in self.columns]
        return [None if None in row else encode_key(row) for row in zip(*parts, strict=True)]


@dataclass(frozen=True)
class ComputedPlan:
    """A read-time feature of a plan.

    Attributes:
        requests: of each request value that it reads: name, where it stands in what is given, coercer.
        keys: of each key column that it reads: name and coercer.
    """

    name: str
    computed: Computed
    requests: tuple[tuple[str, str, Coercer], ...]
    keys: tuple[tuple[str, Coercer], ...]


@dataclass(frozen=True)
class ViewLookup:
    """The part of a plan that one view answers.

    Attributes:
        group: index of its key columns in the plan's groups.
        features: what is asked of it, in the order asked: positions among a stored row's fields, or
            how to compute it.
        names: of each of them.
        slots: the place of each of them among all features asked.
        whole: all of the stored columns are asked, in their order, and nothing else.
        pick: takes what is asked from a stored row's fields, where all of it is stored.
    """

    view: ReadyView
    group: int
    features: tuple[int | ComputedPlan, ...]
    names: tuple[str, ...]
    slots: tuple[int, ...]
    whole: bool
    pick: Callable[[Sequence[bytes]], Sequence[bytes]] | None


@dataclass(frozen=True)
class Plan:
    """What a lookup of some features with some columns reads.

    Attributes:
        features: what is asked, in order.
        views: in the order in which the features first name them.
        in_order: the features of the first view come first, then those of the second, and so on.
        needed: the columns that must be given, by their names in lower case.
    """

    features: tuple[Reference, ...]
    groups: tuple[KeyGroup, ...]
    views: tuple[ViewLookup, ...]
    in_order: bool
    needed: frozenset[str]


class Planner:
    """Makes plans from the views of a catalog.

    Args:
        failed: views that cannot be served, and why.
    """

    def __init__(self, views: Mapping[str, ReadyView], failed: Mapping[str, ForebayError]) -> None:
        self._views = views
        self._failed = failed

    def plan(self, features: Sequence[Reference], places: Mapping[str, str], context: str) -> Plan:
        """The plan for features and columns.

        Args:
            places: the columns that are sent, by their names in lower case, and the field of the
                request that each is sent in.
            context: the field that request values are sent in, for errors.

        Raises:
            InvalidRequestError: an entity or a request value is missing, or an entity is sent as a
                request value.
            NotReadyError: a view cannot be served.
        """
        slots: dict[str, list[int]] = {}
        for slot, (name, _) in enumerate(features):
            slots.setdefault(name, []).append(slot)
        groups: dict[tuple[Column, ...], int] = {}
        needed: set[str] = set()
        made, keys = [], []
        for name, own in slots.items():
            view = ready_view(self._views, self._failed, name)
            entities = view.entry.entities
            if entities not in groups:
                groups[entities] = len(groups)
                keys.append(_key_group(view, places))
            asked = tuple(
                _feature(view, features[slot][1], places, context, needed) for slot in own
            )
            whole = asked == tuple(range(1, view.width))
            names = tuple(features[slot][1] for slot in own)
            group, pick = groups[entities], _picker(asked)
            made.append(ViewLookup(view, group, asked, names, tuple(own), whole, pick))
        needed.update(name for group in keys for name, _ in group.columns)
        order = [slot for view_plan in made for slot in view_plan.slots]
        in_order = order == list(range(len(features)))
        return Plan(tuple(features), tuple(keys), tuple(made), in_order, frozenset(needed))


def _picker(
    features: Sequence[int | ComputedPlan],
) -> Callable[[Sequence[bytes]], Sequence[bytes]] | None:
    positions = [feature for feature in features if isinstance(feature, int)]
    if len(positions) < len(features):
        return None
    if len(positions) == 1:
        only = positions[0]
        return lambda fields: (fields[only],)
    return itemgetter(*positions)


def _key_group(view: ReadyView, places: Mapping[str, str]) -> KeyGroup:
    for column in view.entry.entities:
        at = fold_name(column.name)
        if at not in places:
            raise _missing(view, column, "entity", "entities")
        if places[at] != "entities":
            raise InvalidRequestError(
                f"{column.name!r} is an entity of {view.name}, not a request value",
                where=f"{places[at]}.{column.name}",
                hint='send it in "entities" only',
            )
    return KeyGroup(tuple((fold_name(name), encode) for name, encode in view.key_columns.items()))


def _feature(
    view: ReadyView, name: str, places: Mapping[str, str], context: str, needed: set[str]
) -> int | ComputedPlan:
    computed = view.computed.get(name)
    if computed is None:
        return view.positions[name]
    requests = []
    for request in sorted(computed.expression.requests):
        column = view.requests[request]
        at = fold_name(column.name)
        if at not in places:
            raise _missing(view, column, "request value", context)
        requests.append((request, at, request_coercer(column, places[at])))
        needed.add(at)
    keys = tuple(item for item in view.coercers.items() if item[0] in computed.expression.columns)
    return ComputedPlan(name, computed, tuple(requests), keys)


def _missing(view: ReadyView, column: Column, kind: str, place: str) -> MissingValueError:
    return MissingValueError(
        f"{kind} {column.name!r} of {view.name} is missing",
        kind=kind,
        where=place,
        hint=f'send "{place}": {{"{column.name}": [{column.type} values]}}',
    )
