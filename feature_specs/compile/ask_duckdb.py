"""Ask DuckDB itself how it reads a text."""

from __future__ import annotations

import atexit
import re
from functools import cache

import duckdb

#: Where a node stands in the text, which parentheses move.
_PLACES = re.compile(r'("query_location(?:_length)?":)\d+')
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect(config={"threads": 1})
    # Closed before Python takes modules down, of which DuckDB's bindings would complain.
    atexit.register(_close)
    return made


def _close() -> None:
    _connection().close()
    _connection.cache_clear()


def syntax_error(sql: str) -> tuple[str, int | None] | None:
    """What DuckDB's parser says against a text, and on which line; None where it takes it."""
    try:
        _connection().cursor().extract_statements(sql)
    except duckdb.Error as error:
        said = str(error)
        line = _LINE.search(said)
        message = said.splitlines()[0].partition("Error: ")[2]
        return message, int(line[1]) if line else None
    return None


def reads_alike(one: str, other: str) -> bool:
    """Whether two queries are the same to DuckDB's parser but for where things stand in the text."""
    cursor = _connection().cursor()
    trees = [
        cursor.execute("select json_serialize_sql(?)", [sql]).fetchone() for sql in (one, other)
    ]
    first, second = (_PLACES.sub(r"\1", tree[0]) if tree else "" for tree in trees)
    return first == second and first.startswith('{"error":false')
