"""Every operator binds in what we write as in DuckDB's own reading of the author's text."""

from __future__ import annotations

import random

import pytest

from feature_specs.compile.parse.parse_query import parse_text
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError
from tests.feature_specs.operator_trees import BEFORE, BEHIND, BINARY, draw_text, duckdb_tree

#: Text to the parentheses that DuckDB puts into it.
GROUPED = {
    "j -> 'a' || 'b'": "j -> ('a' || 'b')",
    "j ->> 'a' = 'b'": "(j ->> 'a') = 'b'",
    "a = j -> 'b'": "(a = j) -> 'b'",
    "a and j -> 'b'": "(a and j) -> 'b'",
    "j -> 'a' -> 'b'": "(j -> 'a') -> 'b'",
    "j -> 'a' << 1": "j -> ('a' << 1)",
    "upper(j -> s)": "upper((j) -> (s))",
    "- a ^ e": "(- a) ^ e",
    "~ a + e": "~ (a + e)",
    "a + e * ~ i + 1": "(a + e) * (~ (i + 1))",
    "a | e & i": "(a | e) & i",
    "a << e || i": "(a << e) || i",
    "a is null + e * 2": "(a is null) + (e * 2)",
    "a is not distinct from e = i": "a is not distinct from (e = i)",
    "a = e is null": "(a = e) is null",
    "a = not bo is null": "a = (not (bo is null))",
    "@ a + e || i": "@ ((a + e) || i)",
    "@ null": "@ (null)",
    "a like s = any(select 1)": "a like (s = any(select 1))",
    "a between e and i and bo": "(a between e and i) and bo",
}
#: What DuckDB's parser takes nowhere, or takes for an operator that it does not have.
REFUSED = (
    "a = e = i", "a < e < i", "a like s like s", "a + not bo", "a between 1 and 2 between 3 and 4",
    "a!", "!bo", "a ?? e", "a # e", "a operator(+) e", "a is json", "a <=> e", "a*~e", "a in l || l",
)  # fmt: skip


def _written(text: str) -> str:
    written = duckdb_sql(parse_text(f"select {text}", "duckdb", "f.sql"))
    return written.removeprefix("SELECT ")


@pytest.mark.parametrize("text", GROUPED)
def test_operators_bind_as_in_duckdb(text: str) -> None:
    tree = duckdb_tree(_written(text))
    assert tree is not None
    assert tree == duckdb_tree(text) == duckdb_tree(GROUPED[text])


@pytest.mark.parametrize("text", REFUSED)
def test_what_duckdb_does_not_read_is_refused(text: str) -> None:
    with pytest.raises(CompileError):
        parse_text(f"select {text}", "duckdb", "f.sql")


def test_drawn_operators_bind_as_in_duckdb() -> None:
    rng = random.Random(2)
    same = 0
    for _ in range(450):
        text = draw_text(rng, rng.randint(1, 4))
        theirs = duckdb_tree(text)
        try:
            written = _written(text)
        except CompileError:
            continue
        assert theirs is not None, f"DuckDB refuses what is answered: {text}"
        assert duckdb_tree(written) == theirs, f"{text} is written as {written}"
        same += 1
    assert same > 300  # the others are refused, nearly all of them by DuckDB as well


def test_every_pair_of_operators_binds_as_in_duckdb() -> None:
    """Each operator beside each other one, without parentheses."""
    rng = random.Random(3)
    infix = [op for op in BINARY if op != "= any"]
    texts = [f"a {one} e {other} i" for one in infix for other in infix]
    texts += [f"{before}a {op} e" for before in BEFORE for op in infix]
    texts += [f"a {op} {before}e" for before in BEFORE for op in infix]
    texts += [f"a {op} e{behind}" for behind in BEHIND for op in infix]
    texts += [f"a{behind} {op} e" for behind in BEHIND for op in infix]
    for text in rng.sample(texts, 500):
        try:
            written = _written(text)
        except CompileError:
            continue
        theirs = duckdb_tree(text)
        assert theirs is not None, f"DuckDB refuses what is answered: {text}"
        assert duckdb_tree(written) == theirs, f"{text} is written as {written}"
