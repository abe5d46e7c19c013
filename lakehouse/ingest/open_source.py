"""Put a file's rows into DuckDB as they stand: text, JSON values, or Parquet's own types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb

from feature_specs.errors import DataError, Location
from feature_specs.quote import literal
from lakehouse.data_files.footers import path_sql
from lakehouse.ingest.check_csv import (
    CsvShape,
    check_csv,
    delimiter_of,
    line_of,
    longest_record,
    name_wrong_line,
)
from lakehouse.ingest.open_json import open_json
from lakehouse.ingest.open_parquet import open_parquet
from lakehouse.ingest.plain_text import plain_text, text_lines
from lakehouse.ingest.source import (
    TEXT,
    FileOptions,
    Source,
    check_file,
    first_row,
    format_of,
    stamp_of,
    unreadable_file,
)


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
    kind, stamp = format_of(path), stamp_of(path)
    if kind == "parquet":
        return replace(open_parquet(connection, path), stamp=stamp)
    text = plain_text(path, options, folder)
    if kind == "json":
        return replace(open_json(connection, text, path, name), stamp=stamp)
    return replace(_open_csv(connection, text, path, options, folder, name), stamp=stamp)


def _open_csv(
    connection: duckdb.DuckDBPyConnection,
    text: Path,
    path: Path,
    options: FileOptions,
    folder: Path,
    name: str,
) -> Source:
    shape = check_csv(text, path, options)
    plain = text if shape.several_lines else _with_like_line_ends(text, folder)
    try:
        scan = _scan(plain, shape, path, options)
        try:
            connection.execute(f"create or replace temp table {name} as select * from {scan}")
        except duckdb.InvalidInputException as error:
            if "Maximum line size" not in str(error):
                raise
            longest = longest_record(text, path, options)
            scan = _scan(plain, shape, path, options, f", max_line_size = {longest}")
            connection.execute(f"create or replace temp table {name} as select * from {scan}")
    except duckdb.Error as error:
        name_wrong_line(text, path, options, shape.names)
        raise _odd_line_end(text, path) or unreadable_file(path, error) from None
    counted = first_row(connection, f"select count(*) from {name}")
    if counted is None or counted[0] != shape.records:
        name_wrong_line(text, path, options, shape.names)
        raise _odd_line_end(text, path) or DataError(
            f"{shape.records} rows are in it, of which DuckDB reads {counted and counted[0]}",
            where=str(path),
            hint="give Parquet; nothing was written",
        )

    def place(number: int) -> Location:
        return Location(str(path), line_of(text, path, options, number))

    return Source(path, name, dict.fromkeys(shape.names, TEXT), place)


def _scan(text: Path, shape: CsvShape, path: Path, options: FileOptions, further: str = "") -> str:
    columns = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in shape.names)
    quote = literal(options.quote)
    return (
        # A header that goes over several lines is one line to `skip`, and so is each blank one.
        f"read_csv({path_sql(str(text.absolute()))}, auto_detect = false, header = false, "
        f"skip = {shape.header_line}, delim = {literal(delimiter_of(path, options))}, "
        f"quote = {quote}, escape = {quote}, columns = {{{columns}}}, nullstr = '', "
        # Quotes that go over line ends can mislead a reader that starts in the middle.
        f"allow_quoted_nulls = false, parallel = {'false' if shape.several_lines else 'true'}, "
        f"compression = 'none', hive_partitioning = false, strict_mode = true{further})"
    )


def _with_like_line_ends(text: Path, folder: Path) -> Path:
    """The file, or a copy in which all lines end in LF where they do not all end alike."""
    crlf = lf = cr = 0
    with text.open("rb") as file:
        while block := file.read(1 << 20):
            block += file.readline()
            crlf, lf, cr = (
                crlf + block.count(b"\r\n"),
                lf + block.count(b"\n"),
                cr + block.count(b"\r"),
            )
    if (crlf == lf or crlf == 0) and (cr == crlf or lf == 0):
        return text
    copy = folder / "lines"
    with text.open("rb") as file, copy.open("wb") as target:
        while block := file.read(1 << 20):
            block += file.readline()
            target.write(block.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return copy


def _odd_line_end(text: Path, path: Path) -> DataError | None:
    """That lines end in several ways in a file whose quoted fields hold line ends too."""
    spelled = {"\r\n": "CRLF", "\r": "CR", "\n": "LF"}
    first = ""
    with text_lines(text) as file:
        for number, line in enumerate(file, 1):
            end = line[len(line.rstrip("\r\n")) :]
            first = first or end
            if end and end != first:
                return DataError(
                    f"the line ends in {spelled[end]}, and those before it in {spelled[first]}",
                    where=Location(str(path), number),
                    hint="write the same line ends everywhere, in quoted fields too, or Parquet",
                )
    return None
