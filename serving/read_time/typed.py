"""What the parts of the compiler share: a typed closure, null handling and type unification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from feature_specs.errors import CompileError, DataError
from feature_specs.sql_types import INTEGER_DIGITS, INTEGER_RANGE, SIGNED, UNSIGNED, SqlType

Values = Mapping[str, Any]
#: ``(row values, clock, request values) -> value``; None is SQL's null.
Closure = Callable[[Values, datetime, Values], Any]

BOOLEAN = SqlType("BOOLEAN")
BIGINT = SqlType("BIGINT")
FLOAT = SqlType("FLOAT")
DOUBLE = SqlType("DOUBLE")
VARCHAR = SqlType("VARCHAR")
DATE = SqlType("DATE")
TIMESTAMP = SqlType("TIMESTAMP")
TIMESTAMPTZ = SqlType("TIMESTAMP WITH TIME ZONE")
INTERVAL = SqlType("INTERVAL")
NULL = SqlType("NULL")

_WIDEST = 38

_TEMPORAL = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


class Typed(NamedTuple):
    """A compiled expression and the DuckDB type of its values.

    Attributes:
        written: the number or text of a literal. DuckDB gives a literal the type of what stands
            beside it: any that reads a text, and any integer type that holds a whole number.
        fixed: it has one value, whatever is read or asked.
        made_of: of a sum, difference or product of integers, and of a difference of instants:
            which, and its two sides.
    """

    type: SqlType
    run: Closure
    written: int | str | None = None
    fixed: bool = False
    made_of: tuple[str, Typed, Typed] | None = None


def refuse(what: str, hint: str) -> CompileError:
    """The error for an expression that has no read-time form."""
    return CompileError(what, where="read-time expression", hint=hint)


def fault(what: str) -> DataError:
    """The error where DuckDB too would fail on the value."""
    return DataError(
        what, where="read-time expression", hint="guard the expression with CASE or TRY_CAST"
    )


class UnreadError(DataError):
    """A value that DuckDB may cast and this evaluator does not: no TRY_CAST makes it null."""


def unread(text: str, of: SqlType) -> UnreadError:
    """The error for a text that is neither read nor surely unreadable."""
    return UnreadError(
        f"{text[:40]!r} is not read as {of} here",
        where="read-time expression",
        hint="write numbers as 1.5 and moments as 2024-01-31 12:00:00+00",
    )


def unary(of: SqlType, function: Callable[[Any], Any], arg: Typed) -> Typed:
    """A function of one value, null for null."""
    run = arg.run

    def call(row: Values, clock: datetime, request: Values) -> Any:
        value = run(row, clock, request)
        return None if value is None else function(value)

    return Typed(of, call)


def binary(of: SqlType, function: Callable[[Any, Any], Any], a: Typed, b: Typed) -> Typed:
    """A function of two values, null if either is."""
    left, right = a.run, b.run

    def call(row: Values, clock: datetime, request: Values) -> Any:
        x = left(row, clock, request)
        if x is None:
            return None
        y = right(row, clock, request)
        return None if y is None else function(x, y)

    return Typed(of, call)


def constant(of: SqlType, value: Any, written: int | str | None = None) -> Typed:
    """An expression that always has the same value."""

    def call(row: Values, clock: datetime, request: Values) -> Any:
        return value

    return Typed(of, call, written, fixed=True)


def as_literal(of: SqlType, value: int) -> Typed:
    """A whole number as a literal."""
    return constant(of, value, value)


def unify(args: Sequence[Typed]) -> SqlType:
    """The type that DuckDB gives to values side by side, as in COALESCE.

    Raises:
        CompileError: they have none, or one that only DuckDB's own parsing of text gives.
    """
    return _fold(args, _choice_of_decimals, _choice_of_integers)


def unify_operands(a: Typed, b: Typed) -> SqlType:
    """The type in which DuckDB computes with two numbers; for `%`, whose decimals have limits."""
    return _fold((a, b), _operands_as_decimals, _operands_as_integers)


def unify_compared(args: Sequence[Typed]) -> SqlType:
    """The type in which DuckDB compares values."""
    return _fold(args, _compared_as_decimals, _compared_as_integers)


_OfTwo = Callable[[SqlType, SqlType], SqlType]


def _fold(args: Sequence[Typed], decimals: _OfTwo, integers: _OfTwo) -> SqlType:
    kind, written = args[0].type, args[0].written
    for other in args[1:]:
        kind = _pair(kind, written, other, decimals, integers)
        written = None  # two literals side by side are one no longer
    return kind


def _pair(
    a: SqlType, written: int | str | None, other: Typed, decimals: _OfTwo, integers: _OfTwo
) -> SqlType:
    b = other.type
    if a == b or b == NULL:
        return a
    if a == NULL:
        return b
    if isinstance(written, str) and not isinstance(other.written, str):
        return b
    if isinstance(other.written, str) and not isinstance(written, str):
        return a
    if a.name in _TEMPORAL and b.name in _TEMPORAL:
        return max(a, b, key=lambda t: _TEMPORAL.index(t.name))
    if not (a.is_numeric and b.is_numeric):
        raise refuse(f"{a} and {b} have no common type", "cast one of them")
    for floating in (DOUBLE, FLOAT):
        if floating in (a, b):
            return floating
    if a.name == "DECIMAL" or b.name == "DECIMAL":
        return decimals(a, b)
    mine, theirs = isinstance(written, int), isinstance(other.written, int)
    if isinstance(written, int) and not theirs and holds(b, written):
        return b
    if isinstance(other.written, int) and not mine and holds(a, other.written):
        return a
    return integers(a, b)


def holds(of: SqlType, value: int) -> bool:
    """The integer type has that value."""
    low, high = INTEGER_RANGE[of.name]
    return low <= value <= high


def _choice_of_decimals(a: SqlType, b: SqlType) -> SqlType:
    scale, whole = _scale_and_whole(a, b)
    if a.name == b.name:
        # Two decimals too wide together lose digits after the point,
        scale = min(scale, _WIDEST - whole)
    # beside an integer they keep them, and may overflow.
    return SqlType("DECIMAL", min(_WIDEST, whole + scale), scale)


def _operands_as_decimals(a: SqlType, b: SqlType) -> SqlType:
    scale, whole = _scale_and_whole(a, b)
    return SqlType("DECIMAL", whole + scale, scale) if whole + scale <= _WIDEST else DOUBLE


def _compared_as_decimals(a: SqlType, b: SqlType) -> SqlType:
    scale, whole = _scale_and_whole(a, b)
    return SqlType("DECIMAL", min(_WIDEST, whole + scale), scale)


def _scale_and_whole(a: SqlType, b: SqlType) -> tuple[int, int]:
    """Of both as decimals: the most digits after, and before, the point."""
    x, y = as_decimal(a), as_decimal(b)
    return max(x.scale, y.scale), max(x.width - x.scale, y.width - y.scale)


def _choice_of_integers(a: SqlType, b: SqlType) -> SqlType:
    return _integers(a, b, narrow=True)


def _operands_as_integers(a: SqlType, b: SqlType) -> SqlType:
    return _integers(a, b, narrow=False)


def _compared_as_integers(a: SqlType, b: SqlType) -> SqlType:
    return SqlType("HUGEINT") if _mixed_widest(a, b) else _integers(a, b, narrow=True)


def _integers(a: SqlType, b: SqlType, *, narrow: bool) -> SqlType:
    for family in (SIGNED, UNSIGNED):
        if a.name in family and b.name in family:
            return max(a, b, key=lambda t: family.index(t.name))
    if _mixed_widest(a, b):
        # DuckDB's choice loses digits.
        raise refuse(f"{a} and {b} have no common type", "cast one of them")
    signed, unsigned = (a, b) if a.name in SIGNED else (b, a)
    size = UNSIGNED.index(unsigned.name)
    if SIGNED.index(signed.name) > size:
        return signed
    if narrow:
        return SqlType(SIGNED[size + 1])
    return SqlType("BIGINT" if size < 3 else "HUGEINT")


def _mixed_widest(a: SqlType, b: SqlType) -> bool:
    """The widest unsigned integer beside a signed one."""
    return "UHUGEINT" in (a.name, b.name) and (a.name in SIGNED or b.name in SIGNED)


def as_decimal(of: SqlType) -> SqlType:
    """The DECIMAL that holds every value of an integer type, as DuckDB has it."""
    if of.name == "DECIMAL":
        return of
    return SqlType("DECIMAL", INTEGER_DIGITS[of.name], 0)
