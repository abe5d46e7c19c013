"""Comparisons, three-valued logic and choices between values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from feature_specs.sql_types import SqlType
from serving.read_time.casts import convert
from serving.read_time.move_constants import move_constants
from serving.read_time.typed import (
    BOOLEAN,
    Typed,
    Values,
    binary,
    refuse,
    unary,
    unify,
    unify_compared,
)

Builder = Callable[[Sequence[Typed]], Typed]


_STEPS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def comparison(name: str) -> Builder:
    """A comparison operator. NaN equals itself and is greater than every other number."""

    def build(args: Sequence[Typed]) -> Typed:
        how, left, right, decided = move_constants(name, *args)
        if right is None:
            return unary(BOOLEAN, lambda value: decided, left)
        return _compared(how, left, right)

    return build


def _compared(name: str, *args: Typed) -> Typed:
    common = unify_compared(args)
    a, b = (convert(arg, common) for arg in args)
    step = _STEPS[name]
    if common.is_float:
        return binary(BOOLEAN, lambda x, y: step(_rank(x), _rank(y)), a, b)
    return binary(BOOLEAN, step, a, b)


def between(args: Sequence[Typed]) -> Typed:
    """All three are compared in one type."""
    common = unify_compared(args)
    value, low, high = (convert(arg, common) for arg in args)
    return conjunction([_compared("ge", value, low), _compared("le", value, high)])


def is_in(args: Sequence[Typed]) -> Typed:
    """``x in (...)``: true for a match, else null where a value is null. One type for all."""
    common = unify_compared(args)
    value, *listed = (convert(arg, common) for arg in args)
    return disjunction([_compared("eq", value, item) for item in listed])


def distinct(args: Sequence[Typed]) -> Typed:
    """``a is distinct from b``: null equals null and nothing else."""
    differs = _compared("ne", *args).run
    left, right = (arg.run for arg in args)

    def call(row: Values, clock: datetime, request: Values) -> Any:
        found = differs(row, clock, request)
        if found is not None:
            return found
        nulls = (run(row, clock, request) is None for run in (left, right))
        return sum(nulls) == 1

    return Typed(BOOLEAN, call)


def conjunction(args: Sequence[Typed]) -> Typed:
    return _junction(args, False)


def disjunction(args: Sequence[Typed]) -> Typed:
    return _junction(args, True)


def negation(args: Sequence[Typed]) -> Typed:
    (a,) = args
    return unary(BOOLEAN, operator.not_, _condition(a))


def is_null(args: Sequence[Typed]) -> Typed:
    (a,) = args
    run = a.run
    return Typed(BOOLEAN, lambda row, clock, request: run(row, clock, request) is None)


def case(args: Sequence[Typed]) -> Typed:
    """Pairs of condition and value, then the value of ELSE, which may be left out."""
    pairs = [(_condition(args[i]), args[i + 1]) for i in range(0, len(args) - 1, 2)]
    otherwise = args[-1:] if len(args) % 2 else []
    # DuckDB takes ELSE first when it looks for the common type.
    of, values = _unified([*otherwise, *(value for _, value in pairs)])
    branches = [(c.run, v.run) for (c, _), v in zip(pairs, values[len(otherwise) :], strict=True)]
    last = values[0].run if otherwise else None

    def call(row: Values, clock: datetime, request: Values) -> Any:
        for holds, value in branches:
            if holds(row, clock, request):
                return value(row, clock, request)
        return None if last is None else last(row, clock, request)

    return Typed(of, call)


def coalesce(args: Sequence[Typed]) -> Typed:
    of, values = _unified(args)
    runs = [v.run for v in values]

    def call(row: Values, clock: datetime, request: Values) -> Any:
        for run in runs:
            value = run(row, clock, request)
            if value is not None:
                return value
        return None

    return Typed(of, call)


def nullif(args: Sequence[Typed]) -> Typed:
    """The first value, in its own type, unless the second equals it."""
    first = args[0].run
    same = comparison("eq")(args).run

    def call(row: Values, clock: datetime, request: Values) -> Any:
        return None if same(row, clock, request) else first(row, clock, request)

    return Typed(args[0].type, call)


def extreme(better: Callable[[Any, Any], bool]) -> Builder:
    """LEAST or GREATEST: nulls are skipped."""

    def build(args: Sequence[Typed]) -> Typed:
        of, values = _unified(args)
        runs = [v.run for v in values]
        rank: Callable[[Any], Any] = _rank if of.is_float else _itself

        def call(row: Values, clock: datetime, request: Values) -> Any:
            best = None
            for run in runs:
                value = run(row, clock, request)
                if value is not None and (best is None or better(rank(value), rank(best))):
                    best = value
            return best

        return Typed(of, call)

    return build


def _junction(args: Sequence[Typed], decisive: bool) -> Typed:
    runs = [_condition(a).run for a in args]

    def call(row: Values, clock: datetime, request: Values) -> Any:
        unknown = False
        for run in runs:
            value = run(row, clock, request)
            if value is None:
                unknown = True
            elif value is decisive:
                return decisive
        return None if unknown else not decisive

    return Typed(BOOLEAN, call)


def _condition(arg: Typed) -> Typed:
    if arg.type.is_numeric or arg.type.name in ("BOOLEAN", "NULL"):
        return convert(arg, BOOLEAN)
    raise refuse(f"a condition of type {arg.type}", "compare it with something")


def _unified(args: Sequence[Typed]) -> tuple[SqlType, list[Typed]]:
    common = unify(args)
    return common, [convert(a, common) for a in args]


def _rank(value: float) -> tuple[bool, float]:
    return (True, 0.0) if value != value else (False, value)


def _itself(value: Any) -> Any:
    return value
