"""Keys of the online store: a tuple of key values as bytes, one to one.

A key is the text of each key value, joined by a NUL. A NUL inside a part is escaped, so no two keys
of as many parts share an encoding. Views with the same key columns have the same keys.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from feature_specs.catalog import Column
from feature_specs.errors import DataError, ForebayError
from feature_specs.instants import epoch_us
from feature_specs.sql_types import INTEGER_RANGE, SqlType, parse_type
from serving.shown import shown

_DIGEST_SIZE = 32

Coercer = Callable[[Any], Any]

#: Digits of which every decimal number is a double of its own.
_DOUBLE_DIGITS = 15
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
#: An instant to the microsecond. What `datetime.fromisoformat` takes besides, it cuts off or misreads:
#: a seventh digit of the second, parts of a second of the zone.
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d"
    r"(?:[T ]\d\d(?::\d\d(?::\d\d(?:[.,]\d{1,6}0*)?)?)?(?:Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?",
    re.ASCII,
)


def encode_key(parts: Iterable[str]) -> bytes:
    """The key of a row, from the text that `key_texts` gives of each key value, at least one."""
    return b"\0".join(map(_escape, parts))


def decode_key(key: bytes) -> tuple[str, ...]:
    """The texts of the key values that `encode_key` was given."""
    return tuple(map(_unescape, key.split(b"\0")))


def shorten(key: bytes, limit: int) -> bytes | None:
    """A digest of ``key`` where it is longer than ``limit`` bytes, else None.

    Two keys may share a digest, so whoever stores under one stores the full key with the row.
    """
    if len(key) <= limit:
        return None
    return hashlib.blake2b(key, digest_size=_DIGEST_SIZE).digest()


def key_texts(columns: Sequence[Column]) -> list[Callable[[Any], str]]:
    """For each key column, the function from a value of its type to the text in the key."""
    return [_TEXTS.get(parse_type(c.type).name, str) for c in columns]


def coercer(column: Column, kind: str = "entity", place: str = "entities") -> Coercer:
    """The function from a JSON value to a key value of the column's declared type.

    The function gives None for null, and raises DataError, naming the column, for a value of
    another JSON type or outside the type's range.

    Args:
        kind, place: what the column is called, and where it is sent, for errors.

    Raises:
        ForebayError: values of that type cannot be keys.
    """
    declared = parse_type(column.type)
    convert = _COERCERS.get("INTEGER" if declared.is_integer else declared.name)
    if convert is None:
        raise ForebayError(
            f"{kind} {column.name!r} has type {column.type}, which cannot be a key",
            where=column.name,
            hint="cast the key to VARCHAR, BIGINT, DATE or another exact type",
        )

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        try:
            return convert(declared, value)
        except _RefusedError as refused:
            raise DataError(
                f"{kind} {column.name!r} is {column.type}, not {shown(value)}",
                where=f"{place}.{column.name}",
                hint=str(refused),
            ) from None

    return coerce


class _RefusedError(Exception):
    """Says what to send instead."""


def _integer(declared: SqlType, value: Any) -> int:
    low, high = INTEGER_RANGE[declared.name]
    if isinstance(value, str) and high > 2**64 and re.fullmatch(r"-?[0-9]{1,39}", value):
        # Few JSON writers can write such an integer as a number.
        return _integer(declared, int(value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise _RefusedError("send a whole JSON number, without quotes or a decimal point")
    if not low <= value <= high:
        raise _RefusedError(f"send a number from {low} to {high}")
    return int(value)


def _boolean(_: SqlType, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _RefusedError("send true or false")
    return value


def _varchar(_: SqlType, value: Any) -> str:
    if not isinstance(value, str):
        raise _RefusedError("send a JSON string")
    return value


def _date(_: SqlType, value: Any) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise _RefusedError('send a JSON string such as "2013-07-01"')
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise _RefusedError("send a day that exists") from None


def _timestamptz(_: SqlType, value: Any) -> datetime:
    moment = _moment(value)
    if moment.tzinfo is None:
        raise _RefusedError('say the zone: "2013-07-01T12:00:00Z"')
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _RefusedError("send a moment between the years 1 and 9999") from None


def _timestamp(_: SqlType, value: Any) -> datetime:
    moment = _moment(value)
    if moment.tzinfo is not None:
        raise _RefusedError('send it without a zone: "2013-07-01T12:00:00"')
    return moment


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise _RefusedError('send a JSON string such as "2013-07-01T12:00:00Z"')
    if not _MOMENT.fullmatch(value):
        raise _RefusedError('send it to the microsecond: "2013-07-01T12:00:00.000001Z"')
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise _RefusedError('send a JSON string such as "2013-07-01T12:00:00Z"') from None


def _decimal(declared: SqlType, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _RefusedError("send a JSON number or a string of digits")
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise _RefusedError("send a JSON number or a string of digits")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise _RefusedError("send a JSON number or a string of digits") from None
    if not number.is_finite():
        raise _RefusedError("send a finite number")
    # Scaled by hand: a quantize would round in the context's 28 digits.
    sign, digits, exponent = number.as_tuple()
    if len(digits) > 100:
        raise _RefusedError(f"send a number that fits {declared}")
    shift = int(exponent) + declared.scale
    unscaled = int("".join(map(str, digits)))
    if not unscaled:
        shift = 0  # whatever its exponent, which may have many digits itself
    if unscaled and shift > declared.width:
        raise _RefusedError(f"send a number that fits {declared}")
    if shift < 0 and unscaled % 10 ** min(-shift, 101):
        raise _RefusedError(f"send at most {declared.scale} digits after the point")
    unscaled = unscaled * 10**shift if shift >= 0 else unscaled // 10 ** min(-shift, 101)
    if isinstance(value, float) and unscaled >= 10**_DOUBLE_DIGITS:
        # The number that was written may have been another one, which is the same double.
        raise _RefusedError(f"send more than {_DOUBLE_DIGITS} digits as text")
    if unscaled >= 10**declared.width:
        raise _RefusedError(f"send a number that fits {declared}")
    return Decimal((sign if unscaled else 0, tuple(map(int, str(unscaled))), -declared.scale))


def _uuid(_: SqlType, value: Any) -> uuid.UUID:
    if not isinstance(value, str):
        raise _RefusedError("send a JSON string")
    try:
        return uuid.UUID(value)
    except ValueError:
        raise _RefusedError("send the 32 hexadecimal digits of a UUID") from None


_COERCERS: dict[str, Callable[[SqlType, Any], Any]] = {
    "INTEGER": _integer,
    "BOOLEAN": _boolean,
    "VARCHAR": _varchar,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "TIMESTAMP WITH TIME ZONE": _timestamptz,
    "DECIMAL": _decimal,
    "UUID": _uuid,
}


def _decimal_text(value: Decimal) -> str:
    text = format(value, "f")
    # -0.00 and 0.00 are one key.
    return text.lstrip("-") if not value else text


def _naive_text(value: datetime) -> str:
    return str(epoch_us(value.replace(tzinfo=UTC)))


def _uuid_text(value: Any) -> str:
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value))


_TEXTS: dict[str, Callable[[Any], str]] = {
    "BOOLEAN": lambda value: "true" if value else "false",
    "DATE": date.isoformat,
    "TIMESTAMP": _naive_text,
    "TIMESTAMP WITH TIME ZONE": lambda value: str(epoch_us(value)),
    "DECIMAL": _decimal_text,
    "UUID": _uuid_text,
    **dict.fromkeys(INTEGER_RANGE, lambda value: str(int(value))),
}


def _escape(part: str) -> bytes:
    raw = part.encode()
    if b"\0" in raw or b"\1" in raw:
        return raw.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return raw


def _unescape(part: bytes) -> str:
    return part.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1").decode()
