"""A file as it was given: its format, how its text is written, and rows that nothing has cast yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from feature_specs.errors import DataError, ForebayError, Location, first_line
from feature_specs.names import fold_name
from feature_specs.quote import quoted

#: What a file is by the end of its name, without ``.gz``.
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}

#: The kind of a column whose values are text (CSV), or JSON values. Other kinds are DuckDB types.
TEXT = "text"
JSON = "json"


@dataclass(frozen=True)
class FileOptions:
    """How a file is written, where its name does not say.

    Attributes:
        timezone: the zone of times that have none, e.g. ``America/New_York``.
        delimiter: between the fields of a CSV file; by default a comma, in .tsv a tab.
        quote: around CSV fields; empty for none.
        encoding: of a text file, as Python names it.
        types: DuckDB types of columns by name, which hold instead of what the values look like.
        declared: types that the table's source declares of its columns; a new table has them, and a
            row that does not fit goes to the quarantine.
        declared_in: the file that does.
        keeps_local: whether new columns may hold times without a zone, since their source says
            which it is; asked where a file has some.
    """

    timezone: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    encoding: str = "utf-8"
    types: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, str] = field(default_factory=dict)
    declared_in: str = ""
    keeps_local: Callable[[], bool] = lambda: False


#: A file's inode, bytes and time of change.
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Source:
    """Rows of a file, in its order.

    Attributes:
        path: the file.
        relation: a table or subquery, for FROM.
        kinds: kind of each column: TEXT, JSON, or a DuckDB type.
        place: where in the file the row of a number stands, counted from 1.
        raw: SQL of each row's whole JSON text; None where there is none.
        stamp: of the file before any of it was read.
        numbered: ``relation`` with a further column ``file_row_number``, from 0; empty where one of
            its own has that name, or nothing but the order of a table says it.
    """

    path: Path
    relation: str
    kinds: Mapping[str, str]
    place: Callable[[int], Location | str]
    raw: str | None = None
    stamp: Stamp | None = None
    numbered: str = ""

    def check_unchanged(self) -> None:
        """Raise DataError if the file has changed since it was opened."""
        if self.stamp is not None and self.stamp != stamp_of(self.path):
            raise changed_meanwhile(self.path)


def changed_meanwhile(path: Path) -> DataError:
    """The error of a file that is no longer as it was when it was opened."""
    return DataError(
        "the file changed while it was read",
        where=str(path),
        hint="run it again once the file is whole; nothing was written",
    )


def stamp_of(path: Path) -> Stamp | None:
    """An identity that changes when a file is written to or replaced; None if there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def first_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...] | None:
    """A query's first row, or None. All are fetched, so that DuckDB can take the next query."""
    rows = connection.execute(sql).fetchall()
    return rows[0] if rows else None


def format_of(path: Path) -> str | None:
    """``csv``, ``parquet`` or ``json``; None for anything else."""
    return FORMATS.get(suffix_of(path))


def suffix_of(path: Path) -> str:
    """The end of a file's name that says its format, without ``.gz``; empty if there is none."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    return suffixes[-1] if suffixes else ""


def check_file(path: Path) -> None:
    """Raise DataError if there is no such file, or its format is unknown."""
    if str(path) == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        raise DataError(
            "it is a stream, and a file is read more than once",
            where="standard input" if str(path) == "-" else str(path),
            hint="write it to a file first, for example `... > rows.csv`, and name that",
        )
    if path.is_dir():
        raise DataError(
            "it is a folder",
            where=str(path),
            hint="name a file; several are loaded one after the other",
        )
    if format_of(path) is None:
        raise DataError(
            f"the format of {path.name!r} is not known",
            where=str(path),
            hint="give a file that ends in " + ", ".join(FORMATS),
        )
    if path.is_symlink() and not path.exists():
        raise DataError(
            f"it is a link to {path.readlink()}, which is not there",
            where=str(path),
            hint="check where the link leads",
        )
    if not path.is_file():
        pattern = re.search(r"[*?\[]", path.name)
        raise DataError(
            "there is no such file",
            where=str(path),
            hint="check the path" + ("; patterns are not expanded, name one file" * bool(pattern)),
        )


def unreadable_file(path: Path, error: BaseException) -> DataError:
    """What another library says of a file that it cannot read."""
    return DataError(
        f"cannot read it: {first_line(error)}",
        where=str(path),
        hint="fix the file; nothing was written",
    )


def check_names(names: Sequence[str], where: Location | str) -> None:
    """Raise DataError where columns have no name, or names that SQL cannot tell apart."""
    seen: dict[str, str] = {}
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise DataError(
                f"column {position} has no name", where=where, hint="name it, or leave it out"
            )
        folded = fold_name(name)
        if folded in seen:
            raise DataError(
                f"two columns are named alike: {seen[folded]!r} and {name!r}",
                where=where,
                hint="rename one of them; SQL does not tell capitals apart",
            )
        seen[folded] = name


def parse_types(text: str) -> dict[str, str]:
    """Column to DuckDB type of a list such as ``id bigint, price decimal(10,2)``.

    Raises:
        ForebayError: it is not such a list.
    """
    found: dict[str, str] = {}
    for part in split_list(text):
        name, _, kind = part.strip().partition(" ")
        if part.strip().startswith('"'):
            name, _, kind = part.strip()[1:].partition('"')
        if not name or not kind.strip() or not re.fullmatch(r"[\w\s(),\[\]\"]+", kind):
            raise ForebayError(
                f"{part.strip()!r} is not a column and its type",
                where="--types",
                hint="write for example --types 'id bigint, price decimal(10,2), at timestamptz'",
            )
        found[name] = kind.strip()
    return found


def split_list(text: str) -> list[str]:
    """The parts between commas that stand in no brackets or quotes.

    >>> split_list('id bigint, "a,b" decimal(10,2)')
    ['id bigint', '"a,b" decimal(10,2)']
    """
    parts, depth, start, in_quotes = [], 0, 0, False
    for at, sign in enumerate(text + ","):
        in_quotes ^= sign == '"'
        depth += 0 if in_quotes else {"(": 1, "[": 1, ")": -1, "]": -1}.get(sign, 0)
        if sign == "," and depth == 0 and not in_quotes:
            parts.append(text[start:at].strip())
            start = at + 1
    return parts


def types_hint(types: Mapping[str, str]) -> str:
    """What to paste to give columns a type."""
    spelled = ((n if re.fullmatch(r"\w+", n) else quoted(n), k) for n, k in types.items())
    return f"--types '{', '.join(f'{n} {k.lower()}' for n, k in spelled)}'"
