"""From an expression tree to a closure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from feature_specs.catalog import Expression, Feature, ViewEntry
from feature_specs.errors import CompileError, did_you_mean
from feature_specs.sql_types import SqlType, parse_type
from serving.read_time import (
    doubles,
    formats,
    logic,
    numbers,
    patterns,
    rounding,
    spans,
    text,
    times,
    zones,
)
from serving.read_time.casts import convert, convert_as_told, fit, try_convert
from serving.read_time.typed import (
    INTERVAL,
    NULL,
    TIMESTAMPTZ,
    VARCHAR,
    Closure,
    Typed,
    constant,
    refuse,
    unary,
)


@dataclass(frozen=True)
class ReadTime:
    """A compiled read-time expression.

    Attributes:
        type: the DuckDB type of its values.
        evaluate: ``(row values, clock, request values) -> value``, None for null; values are as
            `serving.rows.from_json` gives them, the clock an aware datetime in UTC. Raises
            DataError where DuckDB fails on the values (overflow, integer division by zero, a cast).
        columns, requests: the names it reads of the row and of the request.
    """

    type: SqlType
    evaluate: Closure
    columns: frozenset[str]
    requests: frozenset[str]


_OPERATORS: dict[str, tuple[Callable[[Sequence[Typed]], Typed], int, int]] = {
    # name: builder, least and greatest number of arguments
    "add": (numbers.add, 2, 2),
    "sub": (numbers.subtract, 2, 2),
    "mul": (numbers.multiply, 2, 2),
    "div": (numbers.divide, 2, 2),
    "intdiv": (numbers.integer_divide, 2, 2),
    "mod": (numbers.modulo, 2, 2),
    "neg": (numbers.negate, 1, 1),
    "abs": (numbers.absolute, 1, 1),
    "round": (rounding.rounded, 1, 2),
    "floor": (rounding.floor, 1, 1),
    "ceil": (rounding.ceil, 1, 1),
    "trunc": (rounding.truncated, 1, 1),
    "sign": (rounding.sign, 1, 1),
    "eq": (logic.comparison("eq"), 2, 2),
    "ne": (logic.comparison("ne"), 2, 2),
    "lt": (logic.comparison("lt"), 2, 2),
    "le": (logic.comparison("le"), 2, 2),
    "gt": (logic.comparison("gt"), 2, 2),
    "ge": (logic.comparison("ge"), 2, 2),
    "and": (logic.conjunction, 1, 999),
    "or": (logic.disjunction, 1, 999),
    "not": (logic.negation, 1, 1),
    "between": (logic.between, 3, 3),
    "in": (logic.is_in, 2, 999),
    "distinct": (logic.distinct, 2, 2),
    "is_null": (logic.is_null, 1, 1),
    "case": (logic.case, 2, 999),
    "coalesce": (logic.coalesce, 1, 999),
    "nullif": (logic.nullif, 2, 2),
    "least": (logic.extreme(operator.lt), 1, 999),
    "greatest": (logic.extreme(operator.gt), 1, 999),
    "epoch": (lambda args: times.epoch(*args), 1, 1),
    "epoch_us": (lambda args: times.epoch_micros(*args), 1, 1),
    "epoch_ms": (lambda args: times.epoch_millis(*args), 1, 1),
    "last_day": (times.last_day, 1, 1),
    "make_date": (times.make_date, 3, 3),
    "to_timestamp": (times.to_timestamp, 1, 1),
    "dayname": (lambda args: unary(VARCHAR, formats.day_name, times.as_moment(*args)), 1, 1),
    "monthname": (lambda args: unary(VARCHAR, formats.month_name, times.as_moment(*args)), 1, 1),
    **doubles.builders(),
    **text.BUILDERS,
    **patterns.BUILDERS,
}

#: Operators whose first argument names a part of a date.
_PART_OPERATORS: dict[str, tuple[Callable[..., Typed], int]] = {
    "extract": (times.extract, 1),
    "date_trunc": (times.date_trunc, 1),
    "date_diff": (times.date_diff, 2),
    "date_sub": (spans.date_sub, 2),
    "age_part": (spans.age_part, 2),
}

#: What each of them takes for a part.
PARTS: Mapping[str, frozenset[str]] = {**times.PARTS, **spans.PARTS}

#: Operators whose first argument is not an expression: it is taken as it stands in the tree.
_TOLD_OPERATORS: dict[str, Callable[[Any, Typed], Typed]] = {
    "add_months": spans.add_months,
    "local_time": zones.local_time,
    "strftime": formats.strftime,
}

#: Every node name that `compile_expression` knows, leaves apart.
OPERATORS: frozenset[str] = frozenset(
    [*_OPERATORS, *_PART_OPERATORS, *_TOLD_OPERATORS, "cast", "try_cast"]
)

_LEAVES = ("column", "clock", "request", "literal", "interval")


def compile_expression(
    tree: Expression, columns: Mapping[str, str], requests: Mapping[str, str]
) -> ReadTime:
    """Compile an expression tree.

    Args:
        columns, requests: DuckDB type by name.

    Raises:
        CompileError: the tree names an unknown operator, column or request value, or combines
            types in a way that only DuckDB can evaluate.
    """
    scope = _Scope(columns, requests)
    typed = scope.compile(tree)
    return ReadTime(typed.type, typed.run, frozenset(scope.columns_read), frozenset(scope.asked))


def compile_feature(view: ViewEntry, feature: Feature) -> ReadTime:
    """A read-time feature's expression, its values cast to the feature's declared type."""
    if feature.expression is None:
        raise refuse(f"feature {feature.name!r} is stored, not computed", "read its column")
    columns = dict(zip(view.keys, (c.type for c in view.entities), strict=True))
    columns |= {c.name: c.type for c in view.stored}
    if view.time_column is not None:
        columns.setdefault(view.time_column, "TIMESTAMP WITH TIME ZONE")
    requests = {r.name: r.type for r in view.requests}
    try:
        made = compile_expression(feature.expression, columns, requests)
        cast = convert(Typed(made.type, made.evaluate), parse_type(feature.type))
    except CompileError as refused:
        raise CompileError(
            f"feature {feature.name!r} cannot be computed when a vector is read: {refused.what}",
            where=view.file or view.name,
            hint=refused.hint,
        ) from None
    return ReadTime(cast.type, cast.run, made.columns, made.requests)


class _Scope:
    """The names that an expression may use, and those that it does."""

    def __init__(self, columns: Mapping[str, str], requests: Mapping[str, str]) -> None:
        self._columns = columns
        self._requests = requests
        self.columns_read: set[str] = set()
        self.asked: set[str] = set()

    def compile(self, tree: Any) -> Typed:
        if not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
            raise refuse(f"{str(tree)[:60]} is not an expression", "run `forebay compile`")
        name, *args = tree
        if name in _LEAVES:
            return self._leaf(name, args)
        if name in ("cast", "try_cast"):
            self._count(name, args, 2, 2)
            cast = try_convert if name == "try_cast" else convert_as_told
            return cast(self.compile(args[0]), parse_type(args[1]))
        if name in _PART_OPERATORS:
            part_builder, count = _PART_OPERATORS[name]
            self._count(name, args, count + 1, count + 1)
            return part_builder(str(args[0]).lower(), *map(self.compile, args[1:]))
        if name in _TOLD_OPERATORS:
            self._count(name, args, 2, 2)
            return _TOLD_OPERATORS[name](args[0], self.compile(args[1]))
        if name not in _OPERATORS:
            raise refuse(f"unknown operator {name!r}", did_you_mean(name, OPERATORS))
        builder, least, most = _OPERATORS[name]
        self._count(name, args, least, most)
        return builder([self.compile(arg) for arg in args])

    def _leaf(self, name: str, args: list[Any]) -> Typed:
        if name == "clock":
            return Typed(TIMESTAMPTZ, lambda row, clock, request: clock)
        if name == "interval":
            return constant(INTERVAL, timedelta(microseconds=int(args[0])))
        if name == "literal":
            self._count(name, args, 2, 2)
            return _literal(*args)
        known = self._columns if name == "column" else self._requests
        wanted: str = args[0]
        if wanted not in known:
            raise refuse(f"there is no {name} {wanted!r}", did_you_mean(wanted, known))
        (self.columns_read if name == "column" else self.asked).add(wanted)
        of = parse_type(known[wanted])
        if name == "column":
            return Typed(of, lambda row, clock, request: row[wanted])
        return Typed(of, lambda row, clock, request: request[wanted])

    def _count(self, name: str, args: list[Any], least: int, most: int) -> None:
        if not least <= len(args) <= most:
            raise refuse(f"{name} with {len(args)} arguments", "run `forebay compile`")


def _literal(value: Any, type_name: str) -> Typed:
    if value is None:
        plain = type_name.strip('"').upper()
        return constant(NULL if plain == "NULL" else parse_type(type_name), None)
    of = parse_type(type_name)
    if of == INTERVAL:
        return constant(of, timedelta(microseconds=int(value)))
    if of.is_integer:
        return constant(of, int(value), int(value))
    if of.is_float:
        return convert(constant(SqlType("DOUBLE"), float(value)), of)
    if of.name == "DECIMAL":
        return constant(of, fit(Decimal(str(value)), of))
    if of.is_temporal:
        return convert(constant(VARCHAR, str(value), str(value)), of)
    return constant(of, value, value if of == VARCHAR else None)
