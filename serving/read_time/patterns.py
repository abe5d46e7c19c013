"""LIKE and ILIKE: ``%`` stands for any text, ``_`` for one character, nothing is an escape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from serving.read_time.text import lower, of_texts
from serving.read_time.typed import BOOLEAN, Typed

Builder = Callable[[Sequence[Typed]], Typed]


def matches(text: str, pattern: str) -> bool:
    """Whether the whole text is of the pattern.

    Only the last ``%`` met is ever tried again, so the time is at most the product of the two
    lengths, whatever the pattern.

    >>> matches("AA100", "AA%"), matches("AA100", "_100")
    (True, False)
    """
    at = wanted = 0
    star = resume = -1
    while at < len(text):
        if wanted < len(pattern) and pattern[wanted] == "%":
            star, resume = wanted, at
            wanted += 1
        elif wanted < len(pattern) and pattern[wanted] in ("_", text[at]):
            at += 1
            wanted += 1
        elif star >= 0:
            resume += 1
            at, wanted = resume, star + 1
        else:
            return False
    return all(char == "%" for char in pattern[wanted:])


BUILDERS: dict[str, tuple[Builder, int, int]] = {
    "like": (of_texts("like", matches, BOOLEAN), 2, 2),
    "ilike": (of_texts("ilike", lambda t, p: matches(lower(t), lower(p)), BOOLEAN), 2, 2),
}
