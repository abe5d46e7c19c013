"""Texts of operators, drawn with few parentheses, and what DuckDB's own parser makes of a text."""

from __future__ import annotations

import json
import random
import re
from typing import Any, TypeAlias

import duckdb

Tree: TypeAlias = Any

#: Written between two operands.
BINARY = (
    "+", "-", "*", "/", "//", "%", "^", "**", "||", "&", "|", "<<", ">>", "=", "==", "<>", "!=", "<",
    "<=", ">", ">=", "->", "->>", "@>", "<@", "&&", "^@", "and", "or", "is distinct from",
    "is not distinct from", "like", "not like", "ilike", "similar to", "glob", "~", "!~", "~~",
    "~~~", "~*", "at time zone", "in", "not in", "and not", "= any",
)  # fmt: skip
BEFORE = ("-", "+", "~", "not ", "@ ", "- ")
BEHIND = (
    " is null", " is not null", " notnull", " isnull", " not null", " is true", " is not false",
    " is unknown", "::int", "::varchar", "::decimal(10, 2)", "[1]", " collate nocase", " in (1, 2)",
    " not in (3)",
)  # fmt: skip
_LEAVES = ("a", "e", "s", "j", "l", "bo", "1", "2.5", "'a'", "'$.b'", "t.a", "i", "null", "[1, 2]")


def draw_text(rng: random.Random, depth: int = 4, *, parenthesised: float = 0.15) -> str:
    """An expression; of its inner values few are in parentheses."""
    return _draw(rng, depth, parenthesised)


def _draw(rng: random.Random, depth: int, share: float) -> str:
    if depth == 0 or rng.random() < 0.12:
        return rng.choice(_LEAVES)

    def inner() -> str:
        text = _draw(rng, depth - 1, share)
        return f"({text})" if rng.random() < share else text

    kind = rng.random()
    if kind < 0.62:
        operator = rng.choice(BINARY)
        if operator == "= any":
            return f"{inner()} = any(select 1)"
        return f"{inner()} {operator} {inner()}"
    if kind < 0.74:
        return rng.choice(BEFORE) + inner()
    if kind < 0.86:
        return inner() + rng.choice(BEHIND)
    if kind < 0.92:
        negated = rng.choice(("", "not "))
        return f"{inner()} {negated}between {inner()} and {inner()}"
    if kind < 0.96:
        return f"case when {inner()} then {inner()} else {inner()} end"
    return f"coalesce({inner()}, list_transform(l, lambda x: x + {inner()})[1])"


_CONNECTION = duckdb.connect(config={"threads": 1})
_NAMES = {
    "^": "pow", "**": "pow", "power": "pow", "@": "abs", "mod": "%", "~~": "like", "!~~": "not like",
    "~~*": "ilike", "!~~*": "not ilike", "~~~": "glob", "starts_with": "^@", "list_has_all": "@>",
    "list_has_any": "&&", "array_extract": "extract", "list_extract": "extract",
}  # fmt: skip


def duckdb_tree(expression: str) -> Tree | None:
    """How DuckDB reads an expression, without the names that are two words for one; None: refused."""
    given = f"select {expression}"
    row = _CONNECTION.execute("select json_serialize_sql(?)", [given]).fetchone()
    assert row is not None
    read = json.loads(row[0])
    if read["error"]:
        return None
    (item,) = read["statements"][0]["node"]["select_list"]
    return _simple(item)


def _simple(node: Any) -> Tree:
    if isinstance(node, list):
        return tuple(_simple(n) for n in node)
    if not isinstance(node, dict):
        return {"text": "varchar", "TEXT": "VARCHAR"}.get(node, node)
    kind = node.get("class")
    if kind == "COLUMN_REF":
        return tuple(node["column_names"])
    if kind == "CONSTANT":
        return json.dumps(node.get("literal", node.get("value")), sort_keys=True)
    if kind == "LAMBDA" and node["syntax_type"] == "SINGLE_ARROW":
        return "->", _simple(node["lhs"]), _simple(node["expr"])
    if kind == "FUNCTION":
        return _function(node)
    if kind == "OPERATOR" and node["type"] == "OPERATOR_IS_NOT_NULL":
        return "OPERATOR_NOT", ("OPERATOR_IS_NULL", *_simple(node["children"]))
    if kind == "COMPARISON" and node["type"] == "COMPARE_DISTINCT_FROM":
        sides = ("COMPARE_NOT_DISTINCT_FROM", _simple(node["left"]), _simple(node["right"]))
        return "OPERATOR_NOT", sides
    if kind == "COMPARISON":
        return node["type"], _simple(node["left"]), _simple(node["right"])
    if kind in ("OPERATOR", "CONJUNCTION"):
        children = _simple(node["children"])
        if kind == "CONJUNCTION":  # a and (b and c) is one list
            flat = [
                c[1:] if isinstance(c, tuple) and c[0] == node["type"] else (c,) for c in children
            ]
            children = tuple(part for parts in flat for part in parts)
        return node["type"], *children
    plain = ("query_location", "query_location_length", "alias")
    return tuple((k, _simple(v)) for k, v in sorted(node.items()) if k not in plain)


def _function(node: dict[str, Any]) -> Tree:
    name = node["function_name"].lower()
    name = _NAMES.get(name, name)
    values = tuple(_simple(a["expression"]) for a in node["arguments"])
    if name == "+" and len(values) == 1:
        return values[0]
    if name == "<@":
        return "@>", *reversed(values)
    if name.startswith("not "):
        return "OPERATOR_NOT", (name.removeprefix("not "), *values)
    return name, *values


#: Of each kind of value, what operators make of it: ``i`` is a number, ``s`` a text, ``b`` a truth.
_TYPED = {
    "i": ("i + i", "i - i", "i * i", "- i", "- i * i", "i - - i", "case when b then i else i end"),
    "s": ("s || s", "s || s || s", "case when b then s else s end"),
    "b": ("i = i", "i <> i", "i < i", "i >= i", "s = s", "s < s || s", "b = b", "b and b", "b or b",
          "not b", "not b and b", "b is null", "b is not null", "b is true", "i is null",
          "s is not null", "i is distinct from i", "b is not distinct from b", "s like s",
          "s not like s || s", "i between i and i", "i not between i and i and b", "i in (1, 2)",
          "s not in ('a', 'ab')", "not i = i", "not i is null", "b = not b", "not b is null",
          "i + i is null and b"),
}  # fmt: skip
#: What other engines do not have, or have as functions.
_DUCKDB_TOO = {
    "i": ("i & i", "i | i", "i << 1", "i >> 1", "i // 2", "i % 3", "~ i", "@ i", "@ i - i", "- i ^ 2",
          "~ i + i", "i | i & i", "i + i::int", "i // 2 * i"),
    "s": ("j ->> 'a'", "j ->> 'a' || s", "s || i", "s || i + i", "s || i << 1", "s[1]", "upper(s) || s"),
    "b": ("j ->> 'a' = s", "s ilike s", "s ~ s", "s ^@ s", "s glob s", "l @> [i]", "l && [i, 2]",
          "i isnull", "s notnull", "i = any([i, 2])", "s collate nocase = s", "i ** 2 > i",
          "s similar to s", "i is null = b", "b is unknown"),
}  # fmt: skip
_TYPED_LEAVES = {"i": ("a", "e", "1", "2"), "s": ("s", "'a'", "'ab'"), "b": ("bo", "bb", "true")}
#: The columns that the leaves name, and rows of them.
TYPED_TABLE = (
    "create or replace table t as select * from (values "
    "(1, 1, 2, 'a', '{\"a\": \"ab\"}', [1, 2], true, false), (2, -3, 0, 'ab', '{}', [], null, true), "
    "(3, null, 1, null, null, null, false, null), (4, 7, 7, '', '{\"a\": 1}', [7], true, true)"
    ") as t(id, a, e, s, j, l, bo, bb)"
)


def draw_value(rng: random.Random, kind: str, depth: int, *, duckdb_only: bool) -> str:
    """An expression that may have a value over ``TYPED_TABLE``, nearly without parentheses.

    Args:
        kind: of what DuckDB would make of it if the author's operators bound as they are drawn.
        duckdb_only: whether operators may stand in it that other engines lack.
    """
    if depth == 0:
        return rng.choice(_TYPED_LEAVES[kind])
    forms = _TYPED[kind] + (_DUCKDB_TOO[kind] if duckdb_only else ())

    def inner(found: re.Match[str]) -> str:
        below = rng.choice((0, depth - 1))
        text = draw_value(rng, found[0], below, duckdb_only=duckdb_only)
        return f"({text})" if rng.random() < 0.1 else text

    return re.sub(r"\b[isb]\b(?!')", inner, rng.choice(forms))
