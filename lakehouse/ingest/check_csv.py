"""Read a CSV file's header, and refuse what is not CSV (RFC 4180), naming its line.

DuckDB splits the file into values, on all cores. This pass says what lines and columns there are, so
that a row that DuckDB reads otherwise is noticed: by counting, where the file is plainly CSV, else by
Python's own reader.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from feature_specs.errors import DataError, Location
from lakehouse.ingest.count_csv import count_plain
from lakehouse.ingest.plain_text import text_lines
from lakehouse.ingest.source import FileOptions, check_names, suffix_of


@dataclass(frozen=True)
class CsvShape:
    """What a CSV file holds.

    Attributes:
        names: of its columns, as the header has them.
        header_line: the line on which the header starts; before it stand blank lines.
        records: how many rows follow it.
        several_lines: whether a quoted field goes over more than one line.
    """

    names: tuple[str, ...]
    header_line: int
    records: int
    several_lines: bool


def delimiter_of(path: Path, options: FileOptions) -> str:
    """What stands between the fields: as told, else a tab in .tsv files and a comma in others."""
    if options.delimiter is not None:
        return options.delimiter
    return "\t" if suffix_of(path) == ".tsv" else ","


def check_csv(text: Path, path: Path, options: FileOptions) -> CsvShape:
    """Read a whole CSV file for its shape.

    Args:
        text: the file as plain text.
        path: the file that errors name.

    Raises:
        DataError: it has no header, names are missing or alike, or a line is not what it should be.
    """
    for start, end, row in _records(text, path, options):
        if row:
            check_names(row, Location(str(path), start))
            names, header_line, header_lines = tuple(row), start, end
            break
    else:
        raise DataError(
            "the file is empty: there is no header line",
            where=str(path),
            hint="write the columns' names in its first line",
        )
    plain = count_plain(text, delimiter_of(path, options), options.quote)
    if plain is not None and plain.delimiters == plain.records * (len(names) - 1):
        # Lines that have other numbers of fields each DuckDB refuses: `name_wrong_line` then tells.
        return CsvShape(names, header_line, plain.records - 1, plain.several_lines)
    counted = _count(text, path, options, header_lines)
    if counted is None or set(counted[0]) - ({len(names)} | ({0} if len(names) > 1 else set())):
        name_wrong_line(text, path, options, names)
        counted = counted or _count(text, path, options, header_lines, blanks=False)
    assert counted is not None
    widths, lines = counted
    records = widths[len(names)]
    return CsvShape(names, header_line, records, lines - header_lines > records + widths[0])


def _count(
    text: Path, path: Path, options: FileOptions, header_lines: int, *, blanks: bool = True
) -> tuple[Counter[int], int] | None:
    """How many records have how many fields, and how many lines there are; no loop in Python.

    None where a line has to be looked at by itself.
    """
    if blanks and _may_have_blanks_before_quotes(text, path, options):
        return None
    with text_lines(text) as file:
        reader = csv.reader(file, strict=True, **_dialect(path, options))
        try:
            while reader.line_num < header_lines:
                next(reader)
            return Counter(map(len, reader)), reader.line_num
        except csv.Error:
            return None


def _may_have_blanks_before_quotes(text: Path, path: Path, options: FileOptions) -> bool:
    """Whether blanks stand between a delimiter and a quote: part of the value, or not, by reader."""
    if not options.quote:
        return False
    quote = re.escape(options.quote).encode()
    starts = (delimiter_of(path, options), "\n")
    seek = [re.compile(re.escape(start).encode() + rb"[ \t]+" + quote) for start in starts]
    with text.open("rb") as file:
        while block := file.read(1 << 20):
            block += file.readline()
            if any(pattern.search(block) for pattern in seek):
                return True
    return False


def name_wrong_line(text: Path, path: Path, options: FileOptions, names: Sequence[str]) -> None:
    """Raise DataError for the first line that is wrong, if there is one."""
    header = True
    for start, _, row in _records(text, path, options):
        if header:
            header = not row
            continue
        if not row and len(names) == 1:
            raise _wrong(
                path,
                start,
                "a blank line, which may be a missing value or nothing",
                'take it out, or write "" (in a text column: an empty text)',
            )
        if row and len(row) != len(names):
            raise _wrong(
                path,
                start,
                f"{len(row)} field{'s' if len(row) > 1 else ''}, where the header has {len(names)}",
                "fix the line; a field with a delimiter, quote or line end in it stands in quotes",
            )
        if options.quote and any(
            f[:1] in (" ", "\t") and f.lstrip(" \t")[:1] == options.quote for f in row
        ):
            raise _wrong(
                path, start, "blanks before a quoted field", "take out the blanks; nothing was read"
            )


def line_of(text: Path, path: Path, options: FileOptions, number: int) -> int:
    """The line on which a record starts; records are counted from 1, after the header."""
    seen = -1
    for start, _, row in _records(text, path, options):
        seen += bool(row)
        if seen == number:
            return start
    return 0


def longest_record(text: Path, path: Path, options: FileOptions) -> int:
    """Bytes that no record has more of."""
    records = _records(text, path, options)
    return max(sum(8 * len(field) + 4 for field in row) for _, _, row in records)


def _records(text: Path, path: Path, options: FileOptions) -> Iterator[tuple[int, int, list[str]]]:
    """First and last line of each record, and its fields."""
    csv.field_size_limit(sys.maxsize)
    with text_lines(text) as file:
        reader = csv.reader(file, strict=True, **_dialect(path, options))
        end = 0
        try:
            for row in reader:
                start, end = end + 1, reader.line_num
                yield start, end, row
        except csv.Error as error:
            raise _wrong(path, end + 1, *_explained(str(error), options)) from None


class _Dialect(TypedDict):
    delimiter: str
    quotechar: str | None
    quoting: Literal[0, 3]


def _dialect(path: Path, options: FileOptions) -> _Dialect:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE
    return {
        "delimiter": delimiter_of(path, options),
        "quotechar": options.quote or None,
        "quoting": quoting,
    }


def _explained(error: str, options: FileOptions) -> tuple[str, str]:
    if "unexpected end" in error:
        return "a quoted field that is never closed", "close the quote"
    if "expected after" in error:
        return (
            "text after the closing quote of a field",
            "double the quotes inside of a quoted field; where quotes mean nothing: --quote ''",
        )
    return error, "fix the line"


def _wrong(path: Path, line: int, what: str, hint: str) -> DataError:
    return DataError(f"the line is not CSV: {what}", where=Location(str(path), line), hint=hint)
