"""What a caller sent, as an error shows it: short, and safe whatever it is."""

from __future__ import annotations

from typing import Any

_LENGTH = 60


def shown(value: Any) -> str:
    """A value in some 60 characters; a list or an object by its kind only, since it may nest deep.

    >>> shown("AA"), shown(5), shown([[[]]]), len(shown("x" * 1000))
    ("'AA'", '5', 'a list', 60)
    """
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    text = repr(value[:_LENGTH] if isinstance(value, str | bytes) else value)
    cut = isinstance(value, str | bytes) and len(value) > _LENGTH
    return text if len(text) <= _LENGTH and not cut else text[: _LENGTH - 3] + "..."
