"""What columns Parquet files hold, by their footers; each footer is read once in a process.

A file never changes, so what was read of it stays true. Footers that are not known yet are read by
one query, and thousands of files commonly have one and the same columns.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import duckdb

from feature_specs.errors import DataError, first_line
from feature_specs.quote import literal
from feature_specs.server_errors import explain_server
from lakehouse.data_files.old_calendar import old_calendars
from lakehouse.remote.mount_files import mount
from lakehouse.remote.remote_files import fetch_tails

#: The type of Parquet's old times (``lakehouse.data_files.int96``).
INT96 = "INT96"


#: The type of decimals that DuckDB would read as doubles.
WIDE_DECIMAL = "DECIMAL of more than 38 digits"


@dataclass(frozen=True)
class FileColumn:
    """A column of a Parquet file, or a field, element, key or value within one.

    Attributes:
        type: the type in which DuckDB reads it, or ``INT96``.
        kind: ``primitive``, ``struct``, ``list`` or ``map``.
        length: bytes of a value, where all have as many.
        children: the fields; the element; the key and the value.
        old_calendar: whether early times are by the old calendar (``lakehouse.data_files.old_calendar``).
    """

    name: str
    field_id: int | None
    type: str
    kind: str
    length: int | None = None
    children: tuple[FileColumn, ...] = ()
    old_calendar: bool = False


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


def path_list(paths: Iterable[str]) -> str:
    """A list of paths as DuckDB's readers take it."""
    return f"[{', '.join(map(path_sql, paths))}]"


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


def shape_of(path: str) -> Shape:
    """The current columns of one file, which may be rewritten.

    Raises:
        DataError: as ``shapes_of``.
    """
    ((_, shape),) = _read([path])
    return shape


def _read(paths: Sequence[str]) -> Iterator[tuple[str, Shape]]:
    connection = duckdb.connect()
    mount(connection)
    fetch_tails(paths)
    try:
        rows = _query(connection, paths)
    except duckdb.Error:
        rows = [row for path in paths for row in _read_one(connection, path)]
    shapes: dict[str, Shape] = {}
    for path, nodes in groupby(rows, key=lambda row: str(row[0])):
        rest = iter(list(nodes))
        root = next(rest)
        shapes[path] = tuple(_column(rest, path) for _ in range(int(root[3] or 0)))
    # Iceberg's own writers, which give ids, never write by the old calendar.
    may_be = [
        p for p, s in shapes.items() if _holds_times(s) and all(c.field_id is None for c in s)
    ]
    old = old_calendars(connection, path_list(may_be), may_be) if may_be else {}
    connection.close()
    for path, shape in shapes.items():
        old_times = old.get(path, (False, False))
        yield path, _marked(shape, *old_times) if any(old_times) else shape


def _holds_times(columns: Iterable[FileColumn]) -> bool:
    return any(_is_time(c) or _holds_times(c.children) for c in columns)


def has_old_calendar(columns: Iterable[FileColumn]) -> bool:
    """Whether early times in columns, or in fields within them, are by the old calendar."""
    return any(c.old_calendar or has_old_calendar(c.children) for c in columns)


def _is_time(column: FileColumn) -> bool:
    return column.kind == "primitive" and column.type.startswith(("DATE", "TIMESTAMP", INT96))


def _marked(columns: Shape, times: bool, int96: bool) -> Shape:
    """The columns, of which those that hold times say that they are by the old calendar."""
    return tuple(
        replace(
            column,
            children=_marked(column.children, times, int96),
            old_calendar=_is_time(column) and (int96 if column.type == INT96 else times),
        )
        for column in columns
    )


def _read_one(connection: duckdb.DuckDBPyConnection, path: str) -> list[tuple[Any, ...]]:
    try:
        return _query(connection, [path])
    except duckdb.Error as error:
        raise unreadable_data_file(path, error) from None


def _query(connection: duckdb.DuckDBPyConnection, paths: Iterable[str]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select file_name, name, field_id, num_children, repetition_type, converted_type, "
        f"logical_type, case type when {literal(INT96)} then type else duckdb_type end, type_length "
        f"from parquet_schema({path_list(paths)})"
    ).fetchall()


def unreadable_data_file(path: str, error: duckdb.Error) -> DataError:
    """The error for a data file that is missing, broken or encrypted."""
    text = first_line(error)
    told = explain_server(str(error))
    if "No files found" in text or "FileNotFoundError" in str(error):
        what, hint = "a data file is missing", "restore it, or roll the table back to a snapshot"
    elif "encrypt" in text:
        what, hint = "a data file is encrypted", "rewrite the table without encryption"
    elif told is not None:
        what, hint = told.what, told.hint
    else:
        what, hint = f"a data file cannot be read: {text}", "restore it, or write it anew"
    return DataError(what, where=path, hint=hint)


def _column(nodes: Iterator[tuple[Any, ...]], path: str) -> FileColumn:
    _, name, field_id, children, repetition, converted, logical, kind, length = next(nodes)
    inner = [_column(nodes, path) for _ in range(int(children or 0))]
    here = None if field_id is None else int(field_id)
    size = None if length is None else int(length)
    if repetition == "REPEATED":
        # The middle of a list or a map; DuckDB gives it the type of the whole.
        return FileColumn(name, here, kind, "repeated", size, tuple(inner))
    if not inner:
        if kind == "DOUBLE" and converted == "DECIMAL":
            kind = WIDE_DECIMAL
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
        hint="rewrite the file with a current writer",
    )
