"""Vectors as MessagePack: the object of the JSON form, with numbers that JSON has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from serving.api.vectors.as_json import absent, ages_s
from serving.api.vectors.prepared import Prepared
from serving.api.vectors.values import packed_value, value_columns, value_rows
from serving.lookup.read import ViewRows

MEDIA_TYPE = b"application/msgpack"

#: How an object of four fields begins, and one of five.
_FOUR, _FIVE = b"\x84", b"\x85"


async def encode(prepared: Prepared, views: Sequence[ViewRows], ages: bool) -> bytes:
    """The answer's body."""
    head = prepared.keep("msgpack", _head)
    parts = [_FIVE if ages else _FOUR, head, msgpack.packb(await _rows(prepared, views))]
    parts += [_ABSENT, msgpack.packb(absent(views))]
    if ages:
        parts += [_AGES, msgpack.packb(ages_s(views))]
    return b"".join(parts)


async def _rows(prepared: Prepared, views: Sequence[ViewRows]) -> Sequence[Sequence[Any]]:
    parsed = await value_rows(prepared, views)
    if parsed is not None and not parsed.float_texts:
        return parsed.rows
    columns = [column async for _, column in value_columns(prepared, views, packed_value)]
    return list(zip(*columns, strict=True))


def _head(prepared: Prepared) -> bytes:
    """Names and types, and the name of what follows."""
    made = (("features", prepared.names), ("types", prepared.types))
    head: bytes = b"".join(msgpack.packb(part) for field in made for part in field)
    return head + _VECTORS


_VECTORS: bytes = msgpack.packb("vectors")
_ABSENT: bytes = msgpack.packb("absent")
_AGES: bytes = msgpack.packb("ages")
