"""The columns of values that a request sends: entities, and request values beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from feature_specs.names import fold_name
from serving.lookup.errors import InvalidRequestError
from serving.lookup.limits import LIMITS, Limits, check_rows

#: The field of a request that holds its entities.
ENTITIES = "entities"
_HINT = 'send "entities": {"key": [value, ...], ...}'


@dataclass(frozen=True)
class SentColumns:
    """Where a request holds its columns: what its names decide.

    Attributes:
        places: the field that each column is sent in, by the column's name in lower case.
        names: the column's name there.
    """

    places: Mapping[str, str]
    names: Mapping[str, str]

    def given(
        self, raw: Mapping[str, Any], needed: Collection[str], limits: Limits = LIMITS
    ) -> dict[str, Sequence[Any]]:
        """The values of the needed columns.

        Args:
            raw: a request with these columns.

        Raises:
            InvalidRequestError: a column is not a list, or columns differ in length.
        """
        entities = raw[ENTITIES]
        count = same_length(entities)
        check_rows(count, limits)
        made: dict[str, Sequence[Any]] = {}
        for at, field in self.places.items():
            if field != ENTITIES:
                values = raw[field][self.names[at]]
                if at in needed or isinstance(values, list):
                    made[at] = _spread(values, count, field, self.names[at])
            elif at in needed:
                made[at] = entities[self.names[at]]
        return made


def sent_columns(columns: Iterable[tuple[str, str]]) -> SentColumns:
    """The columns of a request from (field, name) pairs, entities first.

    A request value may stand among the entities, as with Feast.

    Raises:
        InvalidRequestError: one name is sent twice, in one field or in two; names that differ in
            case only are one.
    """
    places: dict[str, str] = {}
    names: dict[str, str] = {}
    for field, name in columns:
        folded = fold_name(name)
        other, first = names.get(folded, name), places.get(folded, field)
        if other != name and first == field:
            raise InvalidRequestError(
                f"{other!r} and {name!r} are one name, sent twice",
                where=name,
                hint=f"send {other!r} only",
            )
        if first != field:
            raise InvalidRequestError(
                f"{name!r} is sent in {first!r} and in {field!r}",
                where=f"{field}.{name}",
                hint="send it in one of them",
            )
        places[folded], names[folded] = field, name
    return SentColumns(places, names)


def entity_columns(entities: Any) -> Mapping[str, Any]:
    """What a request holds for its entities. Raises InvalidRequestError unless it is columns."""
    wrong = None
    if entities is None:
        wrong = "'entities' is missing"
    elif not isinstance(entities, dict):
        wrong = "'entities' is not an object"
    elif not entities:
        wrong = "'entities' is empty"
    if wrong is not None:
        raise InvalidRequestError(wrong, where=ENTITIES, hint=_HINT)
    made: Mapping[str, Any] = entities
    return made


def request_columns(raw: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """What a request holds in a field of request values, mostly nothing."""
    context = raw.get(field) or {}
    if not isinstance(context, dict):
        raise InvalidRequestError(
            f"{field!r} is not an object", where=field, hint=f'send "{field}": {{"name": [value]}}'
        )
    return context


def same_length(entities: Mapping[str, Any]) -> int:
    """How many rows are asked. Raises InvalidRequestError unless all columns are lists of as many."""
    count = -1
    for name, values in entities.items():
        if type(values) is not list:
            raise InvalidRequestError(
                f"entity {name!r} is not a list", where=f"{ENTITIES}.{name}", hint=_HINT
            )
        if count < 0:
            count = len(values)
        elif len(values) != count:
            lists = {name: v for name, v in entities.items() if isinstance(v, list)}
            shown = ", ".join(f"{name}: {len(v)}" for name, v in islice(lists.items(), 8))
            raise InvalidRequestError(
                f"entity lists have different lengths ({shown})",
                where=ENTITIES,
                hint="send one value of each per row",
            )
    return count


def _spread(values: Any, count: int, field: str, name: str) -> list[Any]:
    """A request value's column: a list with one a row, or one value for all rows."""
    if not isinstance(values, list):
        return [values] * count
    if len(values) != count:
        raise InvalidRequestError(
            f"request value {name!r} has {len(values)} values for {count} rows",
            where=f"{field}.{name}",
            hint="send one per row, or a single value for all",
        )
    return values
