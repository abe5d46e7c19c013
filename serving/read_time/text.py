"""Functions of text. DuckDB maps case one character at a time, as utf8proc does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from serving.read_time.casts import convert
from serving.read_time.typed import NULL, VARCHAR, Typed, Values, refuse, unary


def concat(args: Sequence[Typed]) -> Typed:
    """The values as text, one after the other; nulls add nothing."""
    runs = [convert(a, VARCHAR).run for a in args]

    def call(row: Values, clock: datetime, request: Values) -> Any:
        texts = (run(row, clock, request) for run in runs)
        return "".join(text for text in texts if text is not None)

    return Typed(VARCHAR, call)


def lower(args: Sequence[Typed]) -> Typed:
    return unary(VARCHAR, lambda text: "".join(map(_lower, text)), _text(args))


def upper(args: Sequence[Typed]) -> Typed:
    return unary(VARCHAR, lambda text: "".join(map(_upper, text)), _text(args))


def _lower(char: str) -> str:
    # Only one character has a longer lower case, the Turkish capital I with a dot.
    return char.lower()[0]


def _upper(char: str) -> str:
    for cased in (char.upper(), char.title()):
        if len(cased) == 1:
            return cased
    return "\u1e9e" if char == "\u00df" else char


def _text(args: Sequence[Typed]) -> Typed:
    (a,) = args
    if a.type not in (VARCHAR, NULL):
        raise refuse(f"the case of a {a.type}", "cast it to varchar first")
    return a
