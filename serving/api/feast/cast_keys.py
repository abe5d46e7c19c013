"""Casts the entities of a request to their declared types, as Feast's server does where that is safe.

Feast casts with Python's `int` and `str`: so it takes 1.5 for 1, True for 1, and 1.0 for "1.0". Here
only what can mean one key is cast, and the rest is an error as in any other request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from feature_specs.catalog import Column
from feature_specs.names import fold_name
from feature_specs.sql_types import parse_type
from serving.keys import Coercer
from serving.lookup.plan import ComputedPlan, KeyGroup, Plan, ViewLookup
from serving.lookup.values import KeyColumn

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,39}\s*")
#: Below it every whole number is a double, and no other number that may have been sent is the same.
_EXACT = 2**53


def with_cast_keys(plan: Plan) -> Plan:
    """The same plan, which casts what is sent for its key columns."""
    columns = {view.group: view.view.entry.entities for view in plan.views}
    groups = tuple(_cast_group(group, columns[i]) for i, group in enumerate(plan.groups))
    return replace(plan, groups=groups, views=tuple(map(_cast_view, plan.views)))


def _cast_group(group: KeyGroup, columns: Sequence[Column]) -> KeyGroup:
    types = {fold_name(column.name): column for column in columns}
    cast = tuple((at, _cast_column(types[at], encode)) for at, encode in group.columns)
    return KeyGroup(cast)


def _cast_column(column: Column, encode: KeyColumn) -> KeyColumn:
    cast, plain = _cast_of(column)

    def cast_and_encode(values: Sequence[Any]) -> Sequence[str | None]:
        if set(map(type, values)) == plain:
            return encode(values)
        return encode(list(map(cast, values)))

    return encode if cast is _same else cast_and_encode


def _cast_view(view: ViewLookup) -> ViewLookup:
    """Key columns that a read-time feature reads are cast too."""
    columns = {fold_name(column.name): column for column in view.view.entry.entities}

    def feature(planned: int | ComputedPlan) -> int | ComputedPlan:
        if isinstance(planned, int) or not planned.keys:
            return planned
        keys = tuple((at, _cast_first(columns[at], coerce)) for at, coerce in planned.keys)
        return replace(planned, keys=keys)

    return replace(view, features=tuple(map(feature, view.features)))


def _cast_first(column: Column, coerce: Coercer) -> Coercer:
    cast, _ = _cast_of(column)
    return lambda value: coerce(cast(value))


def _cast_of(column: Column) -> tuple[Callable[[Any], Any], set[type]]:
    """The cast to a key column's type, and the types of a column of values that needs none."""
    declared = parse_type(column.type)
    if declared.is_integer:
        return _to_integer, {int}
    if declared.name == "VARCHAR":
        return _to_text, {str}
    return _same, set()


def _to_integer(value: Any) -> Any:
    """Text of digits, and whole doubles that are exact: pandas makes these of a column with a null."""
    if type(value) is str and _WHOLE.fullmatch(value):
        return int(value)
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value


def _to_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _same(value: Any) -> Any:
    return value
