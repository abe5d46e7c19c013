"""Pretty-print SQL text: one clause per line, indented by depth.

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
_CLAUSE = re.compile(rf"(?:{_WORDS})\b", re.IGNORECASE)
_FIRST_WORDS = {form(c.split()[0]) for c in _CLAUSES for form in (str.lower, str.upper)}
_TOKENS = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[(),]|[^\S ]\s*|\s{2,}|\b(?:"
    + "|".join(sorted(_FIRST_WORDS, key=len, reverse=True))
    + r")\b"
)
#: x is distinct from y
_FROM, _COMPARED = ("from", "FROM"), (" distinct ", " DISTINCT ")
#: Deeper than this a clause stays on its line.
_DEEPEST = 12


def lay_out(sql: str) -> str:
    """The same statement over several lines."""
    out: list[str] = []
    depth = done = broken = 0
    queries: list[bool] = [True]
    for match in _TOKENS.finditer(sql):
        token = match.group()
        out.append(sql[done : match.start()])
        done = match.end()
        if token == "(":
            depth += 1
            queries.append(sql[done : done + 12].lstrip().lower().startswith(("select", "with ")))
        elif token == ")":
            depth -= 1
            queries.pop()
        elif token == "," and depth == 0:
            token = ",\n"
        elif token.isspace():
            token = " "
        elif token in _FIRST_WORDS and queries[-1] and depth <= _DEEPEST and match.start():
            clause = _CLAUSE.match(sql, match.start())
            compared = token in _FROM and sql.endswith(_COMPARED, 0, match.start())
            if clause is not None and clause.end() > broken and not compared:
                broken = clause.end()
                token = "\n" + "  " * depth + token
        out.append(token)
    out.append(sql[done:])
    lines = ("".join(out)).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())
