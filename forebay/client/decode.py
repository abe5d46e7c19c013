"""From an answer's JSON to Python's values of the declared types, exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from feature_specs.sql_types import SqlType, parse_type
from serving.rows import from_json

#: A function from a JSON value to a value; None where they are the same.
_Decode = Callable[[Any], Any]
#: Types whose values JSON's reader gives as they are.
_SAME = ("BOOLEAN", "VARCHAR")


def parse_json(body: bytes) -> Any:
    """An answer's JSON. Raises ValueError unless it is valid JSON."""
    raw = orjson.loads(body)
    # orjson, which is ten times as fast, makes doubles of integers beyond 64 bits.
    if isinstance(raw, dict) and any("HUGEINT" in name for name in raw.get("types", ())):
        return json.loads(body)
    return raw


def holds_numbers_only(body: bytes) -> bool:
    """Whether an answer surely has no NaN or infinity, which JSON has no numbers for.

    It is enough to look for two letters where the vectors are; names and texts may have them too.
    """
    start, end = body.find(b'"vectors":'), body.rfind(b'"absent":')
    return 0 <= start < end and body.find(b"N", start, end) < 0 and body.find(b"I", start, end) < 0


class Decoder:
    """Decodes the vectors of an answer.

    Args:
        types: DuckDB's type of each feature.
        finite: no double of the answer is written as text.
    """

    def __init__(self, types: Sequence[str], finite: bool) -> None:
        self._decoders, self._different = _decoders(tuple(types), finite)

    @classmethod
    def of(cls, types: Sequence[str], bodies: Sequence[bytes]) -> Decoder:
        """The decoder of what stands in bodies of one call."""
        return cls(types, all(map(holds_numbers_only, bodies)))

    def rows(self, rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """The values row by row."""
        if not self._different:
            yield from rows
            return
        for row in rows:
            made = list(row)
            for at, decode in self._different:
                made[at] = decode(made[at])
            yield made

    def columns(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """The values column by column."""
        columns = zip(*rows, strict=True) if rows else [()] * len(self._decoders)
        return [
            column if decode is None else list(map(decode, column))
            for decode, column in zip(self._decoders, columns, strict=True)
        ]


@lru_cache(maxsize=1024)
def _decoders(
    types: tuple[str, ...], finite: bool
) -> tuple[list[_Decode | None], list[tuple[int, _Decode]]]:
    """A decoder a feature, and those that do something, with their places."""
    decoders = [_decoder(parse_type(name), finite) for name in types]
    return decoders, [(at, made) for at, made in enumerate(decoders) if made is not None]


def _decoder(declared: SqlType, finite: bool) -> _Decode | None:
    if declared.is_integer or declared.name in _SAME or (declared.is_float and finite):
        return None
    return from_json(declared, map_as=dict)
