"""What the parts of the compiler share: a typed closure, null handling and type unification."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from feature_specs.errors import CompileError, DataError
from serving.sql_types import INTEGER_DIGITS, SqlType

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

_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_TEMPORAL = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


class Typed(NamedTuple):
    """A compiled expression and the DuckDB type of its values."""

    type: SqlType
    run: Closure


def refuse(what: str, mend: str) -> CompileError:
    """The error for an expression that has no read-time form."""
    return CompileError(what, where="read-time expression", mend=mend)


def fault(what: str) -> DataError:
    """The error where DuckDB too would fail on the value."""
    return DataError(
        what, where="read-time expression", mend="guard the expression with CASE or TRY_CAST"
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


def unify(types: Sequence[SqlType]) -> SqlType:
    """The type that DuckDB gives to values of all these types side by side.

    Raises:
        CompileError: they have none, or one that only DuckDB's own parsing of text gives.
    """
    result = types[0]
    for other in types[1:]:
        result = _unify(result, other)
    return result


def _unify(a: SqlType, b: SqlType) -> SqlType:
    if a == b or b == NULL:
        return a
    if a == NULL:
        return b
    if a.name in _TEMPORAL and b.name in _TEMPORAL:
        return max(a, b, key=lambda t: _TEMPORAL.index(t.name))
    if a.is_numeric and b.is_numeric:
        return _unify_numbers(a, b)
    raise refuse(f"{a} and {b} have no common type", "cast one of them")


def _unify_numbers(a: SqlType, b: SqlType) -> SqlType:
    for floating in (DOUBLE, FLOAT):
        if floating in (a, b):
            return floating
    if a.name == "DECIMAL" or b.name == "DECIMAL":
        x, y = as_decimal(a), as_decimal(b)
        scale = max(x.scale, y.scale)
        whole = max(x.width - x.scale, y.width - y.scale)
        if whole + scale > 38:
            # DuckDB's choice here depends on the operator and the order of the operands.
            raise refuse(
                f"{a} and {b} have no common type of at most 38 digits", "cast one of them"
            )
        return SqlType("DECIMAL", whole + scale, scale)
    return _unify_integers(a, b)


def _unify_integers(a: SqlType, b: SqlType) -> SqlType:
    for family in (_SIGNED, _UNSIGNED):
        if a.name in family and b.name in family:
            return max(a, b, key=lambda t: family.index(t.name))
    signed, unsigned = (a, b) if a.name in _SIGNED else (b, a)
    if _SIGNED.index(signed.name) > _UNSIGNED.index(unsigned.name):
        return signed
    return SqlType("BIGINT" if _UNSIGNED.index(unsigned.name) < 3 else "HUGEINT")


def as_decimal(of: SqlType) -> SqlType:
    """The DECIMAL that holds every value of an integer type, as DuckDB has it."""
    if of.name == "DECIMAL":
        return of
    return SqlType("DECIMAL", INTEGER_DIGITS[of.name], 0)
