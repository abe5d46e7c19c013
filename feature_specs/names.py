"""Names as DuckDB compares them, and those that forebay keeps for itself."""

from __future__ import annotations

import string

#: What the names of forebay's own columns and tables begin with. No author's name may.
OWN_COLUMNS, OWN_TABLES = "fb_", "forebay_"

_ASCII = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold_name(name: str) -> str:
    """The name as DuckDB compares it: A to Z in lower case, and nothing else.

    >>> fold_name("Max"), fold_name("Ärger") == fold_name("ärger")
    ('max', False)
    """
    return name.lower() if name.isascii() else name.translate(_ASCII)


def is_reserved(name: str) -> bool:
    """Whether a name begins like one of forebay's own, in whichever case."""
    return fold_name(name).startswith((OWN_COLUMNS, OWN_TABLES))
