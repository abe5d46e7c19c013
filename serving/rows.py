r"""Stored rows: ready-encoded JSON fragments, so that a lookup splits and concatenates.

A row is ``header NUL fragment NUL fragment ...``. The header is the event time in UTC as an answer
shows it, without quotes and zone: ``2013-07-01T06:00:00`` or ``2013-07-01T06:00:00.000001``; empty for
views without event_time. Then comes a JSON fragment for each stored column, in the view's order. JSON
text never holds a raw NUL (a string's NUL is written ``\u0000``).

Two consequences that reading builds on: headers, and so whole rows, compare as bytes in the order of
their instants (NUL sorts before every character); and ``NUL null`` in a row is a null feature, for
no other fragment begins with an n.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from feature_specs.errors import ForebayError
from feature_specs.sql_types import SqlType

#: Stored with each view's state. Rows of another layout are never read: the view is synced anew.
ROW_LAYOUT = 3

SEPARATOR = b"\0"
NULL = b"null"

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

Encoder = Callable[[Any], str]
Decoder = Callable[[Any], Any]


def split_row(row: bytes) -> tuple[int | None, list[bytes]]:
    """The event time (microseconds since the epoch, or None) and the columns' fragments."""
    header, *fragments = row.split(SEPARATOR)
    return (header_us(header) if header else None), fragments


def header_text(event_time_us: int) -> str:
    """The header of an event time in microseconds since the epoch.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return (_EPOCH + timedelta(microseconds=event_time_us)).isoformat()


def header_us(header: bytes) -> int:
    """The event time of a header, in microseconds since the epoch."""
    return (datetime.fromisoformat(header.decode()) - _EPOCH) // _MICROSECOND


def encoder(declared: SqlType) -> Encoder:
    """The function from a value that is not None to its JSON fragment.

    Raises:
        ForebayError: JSON values of the type are not defined.
    """
    if declared.name == "LIST":
        item = nullable(encoder(declared.items[0]))
        return lambda value: f"[{','.join(map(item, value))}]"
    if declared.name == "STRUCT":
        return _struct_encoder(declared)
    if declared.name == "MAP":
        return _map_encoder(declared)
    if declared.is_integer:
        return _encode_integer
    if declared.name not in _ENCODERS:
        raise ForebayError(
            f"values of type {declared} cannot be answered",
            where="catalog.json",
            hint="cast the feature, an interval by epoch(...), and run `forebay build`",
        )
    return _ENCODERS[declared.name]


def nullable(encode: Encoder) -> Encoder:
    """The encoder, taking None too."""
    return lambda value: "null" if value is None else encode(value)


def from_json(
    declared: SqlType, *, map_as: type[dict[Any, Any]] | type[list[Any]] = list
) -> Decoder:
    """The function from a parsed fragment, or None, to the value.

    Args:
        map_as: maps become these, of pairs; lists of pairs where a key cannot be a dict's.
    """
    inner = [from_json(item, map_as=map_as) for item in declared.items]
    if declared.name == "LIST":
        (item,) = inner
        return lambda raw: None if raw is None else [item(each) for each in raw]
    if declared.name == "STRUCT":
        items = dict(zip(declared.fields, inner, strict=True))
        return lambda raw: None if raw is None else {k: items[k](v) for k, v in raw.items()}
    if declared.name == "MAP":
        key, value = inner
        made = list if declared.items[0].items else map_as
        return lambda raw: None if raw is None else made((key(k), value(v)) for k, v in raw)
    decode = _DECODERS.get(declared.name)
    if decode is None:
        return _same
    return lambda raw: None if raw is None else decode(raw)


def encode_float(value: float) -> str:
    """The shortest text that reads back as the same double; JSON has no NaN, so that is text."""
    if value - value == 0:
        return repr(value)
    if value != value:
        return '"NaN"'
    return '"Infinity"' if value > 0 else '"-Infinity"'


def encode_decimal(value: Decimal) -> str:
    """A JSON string, for most readers make a double of a number."""
    return f'"{value:f}"'


def encode_timestamptz(value: datetime) -> str:
    utc = value.astimezone(UTC).replace(tzinfo=None)
    return f'"{utc.isoformat(timespec="microseconds")}Z"'


def _encode_timestamp(value: datetime) -> str:
    return f'"{value.isoformat(timespec="microseconds")}"'


def _encode_uuid(value: Any) -> str:
    """Iceberg keeps a UUID that DuckDB gives as text, and its own as 16 bytes."""
    if isinstance(value, bytes):
        value = uuid.UUID(bytes=value)
    return f'"{value}"'


def _encode_integer(value: Any) -> str:
    return str(int(value))


_ENCODERS: dict[str, Encoder] = {
    "BOOLEAN": lambda value: "true" if value else "false",
    "FLOAT": encode_float,
    "DOUBLE": encode_float,
    "DECIMAL": encode_decimal,
    "VARCHAR": encode_basestring,
    "BLOB": lambda value: f'"{base64.b64encode(value).decode()}"',
    "UUID": _encode_uuid,
    "DATE": lambda value: f'"{value.isoformat()}"',
    "TIME": lambda value: f'"{value.isoformat(timespec="microseconds")}"',
    "TIMESTAMP": _encode_timestamp,
    "TIMESTAMP WITH TIME ZONE": encode_timestamptz,
}

_DECODERS: dict[str, Decoder] = {
    "FLOAT": float,
    "DOUBLE": float,
    "DECIMAL": Decimal,
    "BLOB": base64.b64decode,
    "UUID": uuid.UUID,
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "TIMESTAMP": datetime.fromisoformat,
    "TIMESTAMP WITH TIME ZONE": lambda raw: datetime.fromisoformat(raw).astimezone(UTC),
}


def _same(raw: Any) -> Any:
    return raw


def _struct_encoder(declared: SqlType) -> Encoder:
    fields = [
        (name, encode_basestring(name), nullable(encoder(item)))
        for name, item in zip(declared.fields, declared.items, strict=True)
    ]

    def encode(value: Any) -> str:
        return "{" + ",".join(f"{text}:{enc(value[name])}" for name, text, enc in fields) + "}"

    return encode


def _map_encoder(declared: SqlType) -> Encoder:
    """Pairs in an array, for keys need not be text."""
    key, item = encoder(declared.items[0]), nullable(encoder(declared.items[1]))

    def encode(value: Any) -> str:
        pairs = value.items() if isinstance(value, dict) else value
        return "[" + ",".join(f"[{key(k)},{item(v)}]" for k, v in pairs) + "]"

    return encode
