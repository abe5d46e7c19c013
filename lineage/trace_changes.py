"""Which features of a view a change of one of its subqueries can reach.

Two cases are followed, and all else reaches every feature. A column of a subquery reaches what names
it, perhaps of another subquery: names are compared without their tables, so too much is found and never
too little. A subquery that the view joins by LEFT JOIN, and that has at most one row for each row on
the left, reaches the features that name it, whatever changed in it.

Ties of a history are left out: any of its columns may decide one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Query = Mapping[str, Any]
Queries = Mapping[str, Query]


def features_reached(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str] | None:
    """Features of the new definition that a change of its queries can reach; None for all."""
    was, now = old["queries"], new["queries"]
    reached: set[str] = set()
    for path in dict.fromkeys([*was, *now]):
        if was.get(path) == now.get(path):
            continue
        if path not in was or path not in now or path == "":
            return None
        found = _by_column(path, was, new)
        if found is None:
            found = _by_join(path.partition(" > ")[0], old, new)
        if found is None:
            return None
        reached |= found
    return reached


def _by_column(path: str, was: Queries, new: Mapping[str, Any]) -> set[str] | None:
    before, after = was[path], new["queries"][path]
    if _clauses(before) != _clauses(after):
        return None
    old, now = before.get("columns", {}), after.get("columns", {})
    names = {n for n in (*old, *now) if old.get(n) != now.get(n)}
    while True:
        found = set(names)
        for other, query in new["queries"].items():
            columns = query.get("columns", {})
            named = {n for n, sql in columns.items() if n in names or _names(sql, names)}
            # The parts of a UNION match by position; of DISTINCT every column decides.
            if named and ("part" in other or "distinct" in query):
                return None
            if any(_names(text, names) for text in _texts(_clauses(query))):
                return None
            found |= named
        if found == names:
            break
        names = found
    if any(_names(sql, names) for sql in new["keys"].values()):
        return None
    return {n for n, f in new["features"].items() if _names(f["sql"], names)}


def _by_join(subquery: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str] | None:
    queries = new["queries"]
    outer = {k: v for k, v in queries[""].items() if k != "joins"}
    elsewhere = [q for p, q in queries.items() if p.partition(" > ")[0] not in ("", subquery)]
    texts = [*new["keys"].values(), *_texts(outer)]
    texts += [t for query in elsewhere for t in _texts(query)]
    if not subquery or any(_names(text, {subquery}) for text in texts):
        return None
    for query in (old["queries"].get(subquery), queries.get(subquery)):
        if query is None or not _at_most_one_row(subquery, query, str(queries[""].get("joins"))):
            return None
    return {n for n, f in new["features"].items() if _names(f["sql"], {subquery})}


def _at_most_one_row(subquery: str, query: Query, joins: str) -> bool:
    """Whether the view joins a subquery once, by LEFT JOIN, on all columns that it is grouped by."""
    from sqlglot import exp, parse_one  # slow to load, and seldom asked for

    found = parse_one(f"select 1 from fb {joins}", dialect="duckdb").args.get("joins") or []
    read = [j for j in found if _names(j.sql("duckdb"), {subquery})]
    if len(read) != 1 or "group by" not in query:
        return False
    (join,) = read
    table, condition = join.this, join.args.get("on")
    plain = join.side == "LEFT" and not join.method and join.kind in ("", "OUTER")
    if not (plain and condition and isinstance(table, exp.Table)):
        return False
    if table.name != subquery or table.alias_or_name != subquery:
        return False
    grouped = parse_one(f"select 1 from fb {query['group by']}", dialect="duckdb").args["group"]
    if any(value for key, value in grouped.args.items() if key != "expressions"):
        return False
    keys = {e.sql("duckdb") for e in grouped.expressions}
    columns = {parse_one(c, dialect="duckdb").sql("duckdb"): n for n, c in query["columns"].items()}
    matched = set()
    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        sides = [part.left, part.right] if isinstance(part, exp.EQ) else []
        own = [s.name for s in sides if isinstance(s, exp.Column) and s.table == subquery]
        if len(own) == 1:
            matched |= set(own)
    return all(columns.get(key) in matched for key in keys)


def _clauses(query: Query) -> dict[str, Any]:
    return {name: value for name, value in query.items() if name != "columns"}


def _texts(query: Query) -> Iterator[str]:
    for value in query.values():
        if isinstance(value, str):
            yield value
        else:
            yield from value.values() if isinstance(value, Mapping) else value


def _names(sql: str, names: Iterable[str]) -> bool:
    """Whether SQL may name one of some columns or tables."""
    return any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", sql, re.IGNORECASE) for n in names)
