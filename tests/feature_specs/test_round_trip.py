"""DuckDB gives the same values and types for the author's text and for what is written from its tree."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from feature_specs.compile.parse.parse_query import parse_text
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.errors import CompileError

pytestmark = pytest.mark.many_cases

_FIXTURES = Path(__file__).parents[1] / "fixtures" / "author_text"
_WHOLE = {
    "scalar": "select id, {} as v from t order by id",
    "aggregate": "select g, {} as v from t group by g order by g",
    "query": "{}",
}


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    made.execute("set timezone = 'UTC'")
    made.execute((_FIXTURES / "table.sql").read_text())
    return made


def _lines(name: str) -> list[str]:
    return (_FIXTURES / f"{name}.txt").read_text().splitlines()


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[str]]:
    result = connection.execute(sql)
    types = [str(column[1]) for column in result.description or []]
    return types, sorted(repr(row) for row in result.fetchall())


def _differs(connection: duckdb.DuckDBPyConnection, kind: str, text: str) -> str | None:
    """What differs, if anything; a text that is refused keeps its meaning too."""
    sql = _WHOLE[kind].format(text)
    try:
        written = duckdb_sql(parse_text(sql, "duckdb", "f.sql"))
    except CompileError:
        return "refused"
    if _answer(connection, sql) != _answer(connection, written):
        return f"{text}\n    is written as {written}"
    return None


@pytest.mark.parametrize("kind", ["scalar", "aggregate", "query"])
def test_what_is_written_means_the_same(kind: str, connection: duckdb.DuckDBPyConnection) -> None:
    names = {"scalar": "scalars", "aggregate": "aggregates", "query": "queries"}
    found = {text: _differs(connection, kind, text) for text in _lines(names[kind])}
    assert not [text for text, what in found.items() if what is not None]


@pytest.mark.parametrize("line", _lines("once_broken"))
def test_what_was_misread_is_right_or_refused(
    line: str, connection: duckdb.DuckDBPyConnection
) -> None:
    kind, _, text = line.partition("\t")
    assert _differs(connection, kind, text) in (None, "refused")
