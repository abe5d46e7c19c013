"""Vectors as MessagePack: the object of the JSON form, with numbers that JSON has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from serving.api.vectors.as_json import absent, ages_s
from serving.api.vectors.prepared import Prepared
from serving.api.vectors.values import packed_value, value_columns
from serving.lookup.read import ViewRows

MEDIA_TYPE = b"application/msgpack"


async def encode(prepared: Prepared, views: Sequence[ViewRows], ages: bool) -> bytes:
    """The answer's body."""
    parsed = [column async for _, column in value_columns(prepared, views, packed_value)]
    answer: dict[str, Any] = {
        "features": prepared.names,
        "types": prepared.types,
        "vectors": list(zip(*parsed, strict=True)),
        "absent": absent(views),
    }
    if ages:
        answer["ages"] = ages_s(views)
    packed: bytes = msgpack.packb(answer)
    return packed
