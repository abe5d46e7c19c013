"""Registry of the columns that compiled statements add, by what they may hold.

The leak proof trusts the first kind to hold nothing of a leaf, so authors may not use these names
(``refuse_reserved_names``); a test holds the compiler's source to this list.
"""

from __future__ import annotations

import re

from feature_specs.names import OWN_COLUMNS

#: Say which rows answer, when, and in which order. Some are numbered: ``fb_start0``.
BOOKKEEPING = (
    "start", "end", "at", "t", "ts", "row", "id", "group", "part", "rank", "island", "fresh",
    "reached", "next", "till", "from", "matched", "tied", "first", "last", "one", "instant",
    "members", "key", "place", "mark", "read", "key_before", "place_before", "mark_before", "seen",
    "fits", "unit",
)  # fmt: skip

#: Of ``fb_unit1``: the extent of the doubles that are counted in it.
UNIT_SUFFIXES = ("_all", "_least", "_odd", "_power")

#: Hold values that are made of leaves' rows.
VALUES = (
    "agg", "total", "n", "v", "q", "s", "d", "scalar", "split", "weight", "after", "before",
    "call",
)  # fmt: skip

#: Relations, and functions that never reach a finished statement.
RELATIONS = (
    "spine", "rows", "alive", "edges", "segments", "qualified", "both", "carried", "divide",
    "step", "traced",
)  # fmt: skip

BOOKKEEPING_PATTERN = re.compile(
    rf"{OWN_COLUMNS}(({'|'.join(BOOKKEEPING)})\d*|unit\d+({'|'.join(UNIT_SUFFIXES)}))"
)


def is_bookkeeping(name: str) -> bool:
    """Whether a column of that name is bookkeeping, and holds no value of a leaf."""
    return BOOKKEEPING_PATTERN.fullmatch(name) is not None
