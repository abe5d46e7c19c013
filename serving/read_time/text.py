"""Functions of text. DuckDB counts code points, and maps case one of them at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from serving.read_time.casts import convert
from serving.read_time.typed import (
    BIGINT,
    BOOLEAN,
    NULL,
    VARCHAR,
    Typed,
    Values,
    binary,
    refuse,
    unary,
)

Builder = Callable[[Sequence[Typed]], Typed]


def concat(args: Sequence[Typed]) -> Typed:
    """The values as text, one after the other; nulls add nothing."""
    runs = [convert(a, VARCHAR).run for a in args]

    def call(row: Values, clock: datetime, request: Values) -> Any:
        texts = (run(row, clock, request) for run in runs)
        return "".join(text for text in texts if text is not None)

    return Typed(VARCHAR, call)


def join(args: Sequence[Typed]) -> Typed:
    """``a || b``: null if either is."""
    a, b = args
    if VARCHAR not in (a.type, b.type):
        raise refuse(f"|| of a {a.type} and a {b.type}", "cast one of them to varchar first")
    return binary(VARCHAR, lambda x, y: x + y, convert(a, VARCHAR), convert(b, VARCHAR))


def of_text(name: str, function: Callable[[str], Any], of: Any = VARCHAR) -> Builder:
    """A function of one text."""

    def build(args: Sequence[Typed]) -> Typed:
        return unary(of, function, _text(name, args[0]))

    return build


def of_texts(name: str, function: Callable[[str, str], Any], of: Any = VARCHAR) -> Builder:
    """A function of two texts."""

    def build(args: Sequence[Typed]) -> Typed:
        return binary(of, function, *(_text(name, a) for a in args))

    return build


def lower(text: str) -> str:
    return "".join(map(_lower, text))


def upper(text: str) -> str:
    return "".join(map(_upper, text))


def trim(args: Sequence[Typed]) -> Typed:
    """Without what stands at both ends: spaces of any width, or any of the characters given."""
    return _stripped("trim", args, left=True, right=True)


def ltrim(args: Sequence[Typed]) -> Typed:
    return _stripped("ltrim", args, left=True, right=False)


def rtrim(args: Sequence[Typed]) -> Typed:
    return _stripped("rtrim", args, left=False, right=True)


def replace(args: Sequence[Typed]) -> Typed:
    source, old, new = (_text("replace", a) for a in args)
    pairs = binary(VARCHAR, lambda x, y: (x, y), old, new)
    return binary(
        VARCHAR, lambda text, pair: text.replace(*pair) if pair[0] else text, source, pairs
    )


def left(args: Sequence[Typed]) -> Typed:
    """The first characters, or all but the last few where their number is negative."""
    text, count = _text("left", args[0]), _whole("left", args[1])
    return binary(VARCHAR, lambda t, n: t[:n], text, count)


def right(args: Sequence[Typed]) -> Typed:
    """The last characters, or all but the first few where their number is negative."""
    text, count = _text("right", args[0]), _whole("right", args[1])
    return binary(
        VARCHAR, lambda t, n: t[max(len(t) - n, 0) :] if n > 0 else t[-n:] if n else "", text, count
    )


def substring(args: Sequence[Typed]) -> Typed:
    """Characters from a place that counts from 1, or from the end where it is negative."""
    text, start = _text("substring", args[0]), _whole("substring", args[1])
    if len(args) == 2:
        return binary(VARCHAR, lambda t, n: _slice(t, n, len(t) + abs(n)), text, start)
    bounds = binary(VARCHAR, lambda n, size: (n, size), start, _whole("substring", args[2]))
    return binary(VARCHAR, lambda t, pair: _slice(t, *pair), text, bounds)


def _slice(text: str, offset: int, length: int) -> str:
    if offset > 0:
        start = min(len(text), offset - 1)
    elif offset < 0:
        start = len(text) + offset
        if start < 0 and length > 0:
            length = max(length + start, 0)
        start = max(start, 0)
    else:
        # One before the first character.
        start, length = 0, length - 1
        if length <= 0:
            return ""
    if length >= 0:
        return text[start : start + length]
    return text[max(0, start + length) : start]


def _stripped(name: str, args: Sequence[Typed], *, left: bool, right: bool) -> Typed:
    def strip(text: str, gone: Callable[[str], bool]) -> str:
        first, last = 0, len(text)
        while left and first < last and gone(text[first]):
            first += 1
        while right and last > first and gone(text[last - 1]):
            last -= 1
        return text[first:last]

    text = _text(name, args[0])
    if len(args) == 1:
        return unary(VARCHAR, lambda t: strip(t, _is_space), text)
    return binary(
        VARCHAR, lambda t, chars: strip(t, chars.__contains__), text, _text(name, args[1])
    )


def _is_space(char: str) -> bool:
    return unicodedata.category(char) == "Zs"


def _lower(char: str) -> str:
    # Only one character has a longer lower case, the Turkish capital I with a dot.
    return char.lower()[0]


def _upper(char: str) -> str:
    for cased in (char.upper(), char.title()):
        if len(cased) == 1:
            return cased
    return "\u1e9e" if char == "\u00df" else char


def _text(name: str, arg: Typed) -> Typed:
    if arg.type not in (VARCHAR, NULL):
        raise refuse(f"{name} of a {arg.type}", "cast it to varchar first")
    return arg


def _whole(name: str, arg: Typed) -> Typed:
    if not (arg.type.is_integer or arg.type == NULL):
        raise refuse(f"{name} with a {arg.type} for a number of characters", "cast it to bigint")
    return convert(arg, BIGINT)


#: Each operator's builder with its least and greatest number of arguments.
BUILDERS: dict[str, tuple[Builder, int, int]] = {
    "concat": (concat, 1, 999),
    "join": (join, 2, 2),
    "lower": (of_text("lower", lower), 1, 1),
    "upper": (of_text("upper", upper), 1, 1),
    "length": (of_text("length", len, BIGINT), 1, 1),
    "strlen": (of_text("strlen", lambda text: len(text.encode()), BIGINT), 1, 1),
    "trim": (trim, 1, 2),
    "ltrim": (ltrim, 1, 2),
    "rtrim": (rtrim, 1, 2),
    "replace": (replace, 3, 3),
    "left": (left, 2, 2),
    "right": (right, 2, 2),
    "substring": (substring, 2, 3),
    "contains": (of_texts("contains", lambda text, part: part in text, BOOLEAN), 2, 2),
    "starts_with": (of_texts("starts_with", str.startswith, BOOLEAN), 2, 2),
    "ends_with": (of_texts("ends_with", str.endswith, BOOLEAN), 2, 2),
    "strpos": (of_texts("strpos", lambda text, part: text.find(part) + 1, BIGINT), 2, 2),
}
