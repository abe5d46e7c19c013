"""Ask DuckDB itself how it reads a text."""

from __future__ import annotations

import atexit
import re
from functools import cache

import duckdb

#: A node's position in the text, which parentheses shift.
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
    """DuckDB's syntax error for a text and its line, or None if the text parses."""
    try:
        _connection().cursor().extract_statements(sql)
    except duckdb.Error as error:
        said = str(error)
        line = _LINE.search(said)
        message = said.splitlines()[0].partition("Error: ")[2]
        return message, int(line[1]) if line else None
    return None


def reads_alike(one: str, other: str) -> bool:
    """Whether DuckDB parses two queries to the same tree, positions aside."""
    cursor = _connection().cursor()
    trees = [
        cursor.execute("select json_serialize_sql(?)", [sql]).fetchone() for sql in (one, other)
    ]
    first, second = (_PLACES.sub(r"\1", tree[0]) if tree else "" for tree in trees)
    return first == second and first.startswith('{"error":false')
