r"""Stored rows: ready-encoded JSON fragments, so that a lookup splits and concatenates.

A row is ``header NUL fragment NUL fragment ...``: the header is the event time in microseconds since
the epoch, or empty; then a JSON fragment for each stored column, in the view's order. JSON text never
holds a raw NUL (a string's NUL is written ``\u0000``).
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from serving.sql_types import SqlType

SEPARATOR = b"\0"
NULL = b"null"

Encoder = Callable[[Any], str]
Decoder = Callable[[Any], Any]


def encode_row(event_time_us: int | None, fragments: Sequence[str]) -> bytes:
    """A row from its event time (microseconds since the epoch) and the columns' fragments."""
    header = "" if event_time_us is None else str(event_time_us)
    return "\0".join([header, *fragments]).encode()


def split_row(row: bytes) -> tuple[int | None, list[bytes]]:
    """The event time (microseconds since the epoch, or None) and the columns' fragments."""
    header, *fragments = row.split(SEPARATOR)
    return (int(header) if header else None), fragments


def encode_value(declared: SqlType, value: Any) -> str:
    """One value as a JSON fragment."""
    return "null" if value is None else encoder(declared)(value)


def decode_value(declared: SqlType, fragment: bytes) -> Any:
    """The value that `encode_value` was given, in Python's type for the declared one."""
    return from_json(declared)(json.loads(fragment))


def encoder(declared: SqlType) -> Encoder:
    """The function from a value that is not None to its JSON fragment."""
    if declared.name == "LIST":
        item = nullable(encoder(declared.items[0]))
        return lambda value: f"[{','.join(map(item, value))}]"
    if declared.name == "STRUCT":
        return _struct_encoder(declared)
    if declared.name == "MAP":
        return _map_encoder(declared)
    return _ENCODERS.get(declared.name, _encode_integer)


def nullable(encode: Encoder) -> Encoder:
    """The encoder, taking None too."""
    return lambda value: "null" if value is None else encode(value)


def from_json(declared: SqlType) -> Decoder:
    """The function from a parsed fragment, or None, to the value."""
    if declared.name == "LIST":
        item = from_json(declared.items[0])
        return lambda raw: None if raw is None else [item(each) for each in raw]
    if declared.name == "STRUCT":
        items = dict(zip(declared.fields, map(from_json, declared.items), strict=True))
        return lambda raw: None if raw is None else {k: items[k](v) for k, v in raw.items()}
    if declared.name == "MAP":
        key, value = map(from_json, declared.items)
        return lambda raw: None if raw is None else [(key(k), value(v)) for k, v in raw]
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
    return f'"{value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value)}"'


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
