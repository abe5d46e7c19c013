"""SQL without its comments and its layout, so that two texts of one statement compare as equal."""

from __future__ import annotations

import re

_PART = re.compile(
    r"""(?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
    |'(?:[^']|'')*'
    |"(?:[^"]|"")*"
    |\$((?:[A-Za-z_]\w*)?)\$.*?\$\1\$
    |(?P<skipped>(?:--[^\n]*|/\*.*?\*/|\s)+)""",
    re.DOTALL | re.VERBOSE,
)


def strip_comments(sql: str) -> str:
    """The text without comments; each run of comments and white space becomes one blank.

    A text with comments inside comments comes back as it is: where they end is not told here.

    >>> strip_comments("select a, -- the key\\n  '--' as b")
    "select a, '--' as b"
    """
    for part in _PART.finditer(sql):
        blocks = re.findall(r"/\*.*?\*/", part["skipped"] or "", re.DOTALL)
        if any("/*" in block[2:] for block in blocks):
            return sql
    return _PART.sub(lambda part: " " if part["skipped"] else part[0], sql).strip()
