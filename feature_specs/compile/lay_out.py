"""Lay SQL text out for reading: clauses on lines of their own, indented by depth.

The text is not parsed again: what the proof has looked at is what is written, but for white space.
"""

from __future__ import annotations

import re

_CLAUSES = (
    "select", "from", "where", "group by", "having", "qualify", "window", "order by", "union all",
    "union", "except all", "except", "intersect", "join", "left join", "asof join", "asof left join",
    "cross join", "semi join", "anti join", "join lateral",
)  # fmt: skip
_WORDS = "|".join(sorted((c.replace(" ", r"\s+") for c in _CLAUSES), key=len, reverse=True))
_TOKENS = re.compile(
    rf"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\(|\)|\s+|\b(?P<clause>{_WORDS})\b|\w+|.", re.IGNORECASE
)
#: Deeper than this a clause stays on its line.
_DEEPEST = 12


def lay_out(sql: str) -> str:
    """The same statement over several lines."""
    out: list[str] = []
    depth = 0
    queries: list[bool] = [True]
    for match in _TOKENS.finditer(sql):
        token = match.group()
        if token == "(":
            depth += 1
            rest = sql[match.end() : match.end() + 12].lstrip().lower()
            queries.append(rest.startswith(("select", "with ")))
        elif token == ")":
            depth -= 1
            queries.pop()
        elif match["clause"] and queries[-1] and depth <= _DEEPEST:
            while out and out[-1].isspace():
                out.pop()
            if out:
                out.append("\n" + "  " * depth)
        elif token.isspace():
            token = " "
        out.append(token)
        if token == "," and depth == 0:
            out.append("\n")
    lines = ("".join(out)).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())
