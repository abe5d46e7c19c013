"""A file as it was given: its format, how its text is written, and rows that nothing has cast yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from feature_specs.errors import DataError, ForebayError, Location
from lakehouse.quote import quoted

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
    """

    timezone: str | None = None
    delimiter: str | None = None
    quote: str = '"'
    encoding: str = "utf-8"
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Rows of a file, in its order.

    Attributes:
        path: the file.
        relation: a table or subquery, for FROM.
        kinds: kind of each column: TEXT, JSON, or a DuckDB type.
        raw: SQL of each row's whole JSON text; None where there is none.
        place: where in the file the row of a number stands, counted from 1.
    """

    path: Path
    relation: str
    kinds: Mapping[str, str]
    place: Callable[[int], Location | str]
    raw: str | None = None


def first_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...] | None:
    """A query's first row, or None. All are fetched: DuckDB then goes on to the next query."""
    rows = connection.execute(sql).fetchall()
    return rows[0] if rows else None


def format_of(path: Path) -> str | None:
    """``csv``, ``parquet`` or ``json``; None for what is none of them."""
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    return FORMATS.get(suffixes[-1]) if suffixes else None


def check_file(path: Path) -> None:
    """Raise DataError where there is no such file, or it is of no format that we know."""
    if format_of(path) is None:
        raise DataError(
            f"the format of {path.name!r} is not known",
            where=str(path),
            mend="give a file that ends in " + ", ".join(FORMATS),
        )
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), mend="check the path")


def check_names(names: list[str], path: Path) -> None:
    """Raise DataError where columns have no name, or names that SQL cannot tell apart."""
    line = Location(str(path), 1) if format_of(path) == "csv" else str(path)
    seen: dict[str, str] = {}
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise DataError(
                f"column {position} has no name", where=line, mend="name it, or leave it out"
            )
        folded = name.lower()
        if folded in seen:
            raise DataError(
                f"two columns are named alike: {seen[folded]!r} and {name!r}",
                where=line,
                mend="rename one of them; SQL does not tell capitals apart",
            )
        seen[folded] = name


def parse_types(text: str) -> dict[str, str]:
    """Column to DuckDB type of a list such as ``id bigint, price decimal(10,2)``.

    Raises:
        ForebayError: it is no such list.
    """
    found: dict[str, str] = {}
    for part in re.split(r",(?![^(\[]*[)\]])", text):
        name, _, kind = part.strip().partition(" ")
        if part.strip().startswith('"'):
            name, _, kind = part.strip()[1:].partition('"')
        if not name or not kind.strip() or not re.fullmatch(r"[\w\s(),\[\]\"]+", kind):
            raise ForebayError(
                f"{part.strip()!r} is not a column and its type",
                where="--types",
                mend="write for example --types 'id bigint, price decimal(10,2), at timestamptz'",
            )
        found[name] = kind.strip()
    return found


def types_hint(names: list[str], kind: str = "varchar") -> str:
    """What to paste to give columns a type."""
    spelled = (n if re.fullmatch(r"\w+", n) else quoted(n) for n in names)
    return f"--types '{', '.join(f'{n} {kind}' for n in spelled)}'"
