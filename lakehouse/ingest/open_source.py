"""Put a file's rows into DuckDB as they stand: text, JSON values, or Parquet's own types."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from feature_specs.errors import DataError, Location, first_line
from lakehouse.ingest.check_csv import check_csv, delimiter_of, line_of
from lakehouse.ingest.open_json import open_json
from lakehouse.ingest.plain_text import plain_text
from lakehouse.ingest.source import (
    TEXT,
    FileOptions,
    Source,
    check_file,
    check_names,
    first_row,
    format_of,
)
from lakehouse.quote import literal, quoted


def open_source(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    options: FileOptions,
    folder: Path,
    name: str = "forebay_source",
) -> Source:
    """A file's rows, none of them cast or left out.

    Args:
        folder: for a plain copy of what is packed or in another encoding.
        name: of the table that holds text and JSON.

    Raises:
        DataError: the file is not what its name says, with the line where there is one.
    """
    check_file(path)
    kind = format_of(path)
    if kind == "parquet":
        return _open_parquet(connection, path)
    text = plain_text(path, options, folder)
    if kind == "json":
        return open_json(connection, text, path, name)
    return _open_csv(connection, text, path, options, folder, name)


def _open_csv(
    connection: duckdb.DuckDBPyConnection,
    text: Path,
    path: Path,
    options: FileOptions,
    folder: Path,
    name: str,
) -> Source:
    shape = check_csv(text, path, options)
    if not shape.several_lines:
        text = _with_like_line_ends(text, folder)
    columns = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in shape.names)
    quote = literal(options.quote)
    scan = (
        f"read_csv({literal(str(text))}, auto_detect = false, header = false, "
        f"skip = {shape.header_lines}, delim = {literal(delimiter_of(path, options))}, "
        f"quote = {quote}, escape = {quote}, columns = {{{columns}}}, nullstr = '', "
        # Quotes that go over line ends can mislead a reader that starts in the middle.
        f"allow_quoted_nulls = false, parallel = {'false' if shape.several_lines else 'true'}, "
        "compression = 'none', strict_mode = true)"
    )
    try:
        connection.execute(f"create or replace temp table {name} as select * from {scan}")
    except duckdb.Error as error:
        raise _unreadable(path, error) from None
    counted = first_row(connection, f"select count(*) from {name}")
    if counted is None or counted[0] != shape.records:
        raise DataError(
            f"{shape.records} rows are in it, of which DuckDB reads {counted and counted[0]}",
            where=str(path),
            mend="give Parquet, or CSV with the same line ends everywhere; nothing was written",
        )

    def place(number: int) -> Location:
        return Location(str(path), line_of(text, path, options, number))

    return Source(path, name, dict.fromkeys(shape.names, TEXT), place)


def _with_like_line_ends(text: Path, folder: Path) -> Path:
    """The file, or a copy in which all lines end in LF where only some end in CRLF."""
    crlf = lf = 0
    with text.open("rb") as file:
        while block := file.read(1 << 20):
            block += file.readline()
            crlf, lf = crlf + block.count(b"\r\n"), lf + block.count(b"\n")
    if crlf in (0, lf):
        return text
    copy = folder / "lines"
    with text.open("rb") as file, copy.open("wb") as target:
        while block := file.read(1 << 20):
            target.write((block + file.readline()).replace(b"\r\n", b"\n"))
    return copy


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> Source:
    relation = f"read_parquet({literal(str(path))})"
    try:
        described = connection.execute(f"describe select * from {relation}").fetchall()
        # DuckDB numbers names that are alike; the file's own say that they are.
        names = pq.read_schema(path).names
    except (duckdb.Error, OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    check_names(names, path)
    kinds = {column: kind for column, kind, *_ in described}
    return Source(path, relation, kinds, lambda number: f"{path}, row {number}")


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot read it: {first_line(error)}",
        where=str(path),
        mend="mend the file; nothing was written",
    )


def columns_of(source: Source) -> str:
    """The columns of a source, quoted."""
    return ", ".join(quoted(n) for n in source.kinds)
