"""What columns Parquet files hold, by their footers; each footer is read once in a process.

A file never changes, so what was read of it stays true. Footers that are not known yet are read by
one query, and thousands of files commonly have one and the same columns.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import duckdb

from feature_specs.errors import DataError, first_line
from lakehouse.quote import literal


@dataclass(frozen=True)
class FileColumn:
    """A column of a Parquet file, or a field, element, key or value within one.

    Attributes:
        type: the type in which DuckDB reads it.
        kind: ``primitive``, ``struct``, ``list`` or ``map``.
        length: bytes of a value, where all have as many.
        children: the fields; the element; the key and the value.
    """

    name: str
    field_id: int | None
    type: str
    kind: str
    length: int | None = None
    children: tuple[FileColumn, ...] = ()


#: A file's columns, in their order.
Shape = tuple[FileColumn, ...]

_shapes: dict[str, Shape] = {}
#: One object for all files that are alike.
_alike: dict[Shape, Shape] = {}
_lock = threading.Lock()

#: Beyond, all is forgotten and read anew.
_MOST = 200_000


def path_sql(path: str) -> str:
    """A path as DuckDB's readers take it, which would else see patterns in some characters."""
    return literal(re.sub(r"[*?\[]", lambda match: f"[{match[0]}]", path))


def shapes_of(paths: Sequence[str]) -> dict[str, Shape]:
    """The columns of each file.

    Raises:
        DataError: a file is missing, broken or encrypted; names it.
    """
    with _lock:
        unknown = [p for p in dict.fromkeys(paths) if p not in _shapes]
        if unknown:
            if len(_shapes) + len(unknown) > _MOST:
                _shapes.clear()
                unknown = list(dict.fromkeys(paths))
            for path, shape in _read(unknown):
                _shapes[path] = _alike.setdefault(shape, shape)
        return {path: _shapes[path] for path in paths}


def _read(paths: Sequence[str]) -> Iterator[tuple[str, Shape]]:
    connection = duckdb.connect()
    try:
        rows = _query(connection, paths)
    except duckdb.Error:
        rows = [row for path in paths for row in _read_one(connection, path)]
    finally:
        connection.close()
    for path, nodes in groupby(rows, key=lambda row: str(row[0])):
        rest = iter(list(nodes))
        root = next(rest)
        yield path, tuple(_column(rest, path) for _ in range(int(root[3] or 0)))


def _read_one(connection: duckdb.DuckDBPyConnection, path: str) -> list[tuple[Any, ...]]:
    try:
        return _query(connection, [path])
    except duckdb.Error as error:
        raise unreadable(path, error) from None


def _query(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select file_name, name, field_id, num_children, repetition_type, converted_type, "
        "logical_type, duckdb_type, type_length "
        f"from parquet_schema([{', '.join(map(path_sql, paths))}])"
    ).fetchall()


def unreadable(path: str, error: duckdb.Error) -> DataError:
    """The error for a data file that is missing, broken or encrypted."""
    text = first_line(error)
    if "No files found" in text:
        what, mend = "a data file is missing", "restore it, or roll the table back to a snapshot"
    elif "encrypt" in text:
        what, mend = "a data file is encrypted", "rewrite the table without encryption"
    else:
        what, mend = f"a data file cannot be read: {text}", "restore it, or write it anew"
    return DataError(what, where=path, mend=mend)


def _column(nodes: Iterator[tuple[Any, ...]], path: str) -> FileColumn:
    _, name, field_id, children, repetition, converted, logical, kind, length = next(nodes)
    inner = [_column(nodes, path) for _ in range(int(children or 0))]
    here = None if field_id is None else int(field_id)
    size = None if length is None else int(length)
    if repetition == "REPEATED":
        # The middle of a list or a map; DuckDB gives it the type of the whole.
        return FileColumn(name, here, kind, "repeated", size, tuple(inner))
    if not inner:
        return FileColumn(name, here, kind, "primitive", size)
    if inner[0].kind != "repeated":
        return FileColumn(name, here, kind, "struct", None, tuple(inner))
    said, members = f"{converted} {logical}".upper(), inner[0].children
    if "MAP" in said and len(members) == 2:
        return FileColumn(name, here, kind, "map", None, members)
    if "LIST" in said and len(members) == 1:
        return FileColumn(name, here, kind, "list", None, members)
    raise DataError(
        f"column {name!r} is a list or map of an old writer, without the three levels that the "
        "Parquet format asks for",
        where=path,
        mend="rewrite the file with a current writer",
    )
