"""Read the JSON values that obviously fit their column, without SQL.

What is not plain, good or bad, is left to `read_json`, which costs twenty times as much: numbers with
more digits than a double keeps, times in rarer spellings, nested values. So this decides only where
there is no doubt, and tests hold it to the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_INSTANT = re.compile(
    r"(?:19[7-9]\d|20\d\d|21\d\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6})?(?:Z|[+-]\d\d:\d\d)"
)
_DATE = re.compile(r"(?:19[7-9]\d|20\d\d|21\d\d)-\d\d-\d\d")
_NEGATIVE_ZERO = re.compile(r"-0(?:\.0*)?(?![\d.])")
_EXACT = 2**53


class NotPlainError(Exception):
    """A message that needs the slower reader."""


class _Digits(str):
    """A number with a point or an exponent, as it is written."""


def plain_row(text: str, columns: Mapping[str, Callable[[Any], Any]]) -> list[Any]:
    """A message's values in the order of the columns; None where the key is missing.

    Args:
        columns: of each column what reads a value that is not null, from `plain_readers`.

    Raises:
        NotPlainError: it is not plain, whether it is a row or not.
    """
    try:
        pairs = _load(text)
    except (ValueError, RecursionError):
        raise NotPlainError from None
    if type(pairs) is not tuple:
        raise NotPlainError
    found = dict(pairs)
    if len(found) != len(pairs) or not found.keys() <= columns.keys():
        raise NotPlainError
    row = []
    for name, read in columns.items():
        value = found.get(name)
        row.append(None if value is None else read(value))
    # As a whole number it was read as 0, which has no sign.
    if _NEGATIVE_ZERO.search(text):
        raise NotPlainError
    return row


def _constant(text: str) -> Any:
    raise NotPlainError


#: An object becomes a tuple of pairs, so that a key that stands twice is seen.
_load = json.JSONDecoder(
    object_pairs_hook=tuple, parse_float=_Digits, parse_constant=_constant
).decode


def plain_readers(types: Mapping[str, str]) -> dict[str, Callable[[Any], Any]]:
    """What reads plain values of columns of DuckDB types."""
    return {name: _READERS.get(kind) or _decimal(kind) or _never for name, kind in types.items()}


def _decimal(kind: str) -> Callable[[Any], Decimal] | None:
    declared = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    if declared is None:
        return None
    digits, scale = int(declared[1]), int(declared[2])
    fraction = rf"(?:\.\d{{1,{scale}}})?" if scale else ""
    written = re.compile(rf"-?\d{{1,{max(digits - scale, 1)}}}{fraction}")

    def read(value: Any) -> Decimal:
        text = str(value)
        if type(value) not in (int, _Digits) or len(text) > 15 or not written.fullmatch(text):
            raise NotPlainError
        return Decimal(text)

    return read if digits > scale else None


def _never(value: Any) -> Any:
    raise NotPlainError


def _text(value: Any) -> str:
    if type(value) is not str or not value.isprintable():
        raise NotPlainError
    return value


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise NotPlainError
    return value


def _bigint(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise NotPlainError
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise NotPlainError
    return value


def _double(value: Any) -> float:
    if type(value) not in (int, _Digits) or len(str(value)) > (15 if type(value) is int else 40):
        raise NotPlainError
    number = float(value)
    if not 1e-300 < abs(number) < _EXACT and value != 0 and str(value).strip("0."):
        raise NotPlainError
    return number


def _instant(value: Any) -> datetime:
    if type(value) is not str or not _INSTANT.fullmatch(value):
        raise NotPlainError
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise NotPlainError from None


def _date(value: Any) -> date:
    if type(value) is not str or not _DATE.fullmatch(value):
        raise NotPlainError
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise NotPlainError from None


_READERS: dict[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BOOLEAN": _boolean,
    "BIGINT": _bigint,
    "INTEGER": _integer,
    "DOUBLE": _double,
    "TIMESTAMP WITH TIME ZONE": _instant,
    "DATE": _date,
}
