"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number of things, for people.

    Args:
        nouns: the plural, where it is not ``noun`` and an s.

    >>> counted(1, "row"), counted(12345, "row"), counted(2, "entity", "entities")
    ('1 row', '12,345 rows', '2 entities')
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
