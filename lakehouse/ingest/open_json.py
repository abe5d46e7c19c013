"""Split JSON objects into a column a key, and name the line of anything that is not an object."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb

from feature_specs.errors import DataError, Location
from feature_specs.quote import literal, quoted
from lakehouse.data_files.footers import path_sql
from lakehouse.ingest.plain_text import text_lines
from lakehouse.ingest.source import JSON, Source, check_names, first_row, suffix_of, unreadable_file

#: The column that keeps an object as it is written: DuckDB's JSON values have lost a number's
#: further digits.
RAW = "forebay_raw_json"

#: A text in JSON; and a comma with no value behind it, which DuckDB takes.
TEXT_IN_JSON = r'"(?:[^"\\]|\\.)*"'
LOOSE_COMMA = r",\s*[}\]]"


def open_json(connection: duckdb.DuckDBPyConnection, text: Path, path: Path, name: str) -> Source:
    """Objects one a line, in an array, or one after the other, as a table of JSON values.

    A key that an object lacks is null there, as one whose value is null.

    Raises:
        DataError: a line is not a JSON object, or names a key twice.
    """
    try:
        _read_objects(connection, text, path, name)
        wrong = first_row(
            connection,
            f"select row, raw, kind from (select row_number() over () as row, raw, "
            f"json_type(raw) as kind from {name}_objects) where kind <> 'OBJECT' limit 1",
        )
        if wrong is not None:
            raise DataError(
                f"{str(wrong[1])[:40]!r} is not a JSON object",
                where=_place(text, path, wrong[0]),
                hint='write objects: {"key": "value"}, one a line',
            )
        _refuse_loose_commas(connection, text, path, name)
        keys = _keys(connection, text, path, name)
        _take_apart(connection, keys, name)
    except duckdb.Error as error:
        raise _malformed(text, path, error) from None
    return Source(
        path,
        name,
        dict.fromkeys(keys, JSON),
        lambda number: _place(text, path, number),
        raw=RAW,
    )


def _refuse_loose_commas(
    connection: duckdb.DuckDBPyConnection, text: Path, path: Path, name: str
) -> None:
    """DuckDB reads ``{"a": 1,}``, which is not JSON: a value may be missing there."""
    loose = first_row(
        connection,
        f"select row from (select row_number() over () as row, raw from {name}_objects) "
        f"where regexp_matches(raw, {literal(LOOSE_COMMA)}) and "
        f"regexp_matches(regexp_replace(raw, {literal(TEXT_IN_JSON)}, '', 'g'), {literal(LOOSE_COMMA)}) limit 1",
    )
    if loose is not None:
        raise DataError(
            "it is not JSON: a comma stands before a closing bracket",
            where=_place(text, path, loose[0]),
            hint="take the comma away, or write the value that is missing",
        )


def _read_objects(connection: duckdb.DuckDBPyConnection, text: Path, path: Path, name: str) -> None:
    layouts = [_layout(text, path)]
    # Lines that hold more than one object, or a part of one, are JSON too.
    layouts += ["unstructured"] * (layouts[0] == "newline_delimited")
    size = ""
    while True:
        scan = f"read_json_objects({path_sql(str(text.absolute()))}, format = '{layouts[0]}'{size})"
        try:
            connection.execute(
                f"create or replace temp table {name}_objects as "
                f"select json::varchar as raw from {scan}"
            )
            return
        except duckdb.InvalidInputException as error:
            if not size and "maximum_object_size" in str(error):
                size = f", maximum_object_size = {text.stat().st_size + 1}"
            elif len(layouts) == 1:
                raise
            else:
                layouts.pop(0)


def _layout(text: Path, path: Path) -> str:
    if suffix_of(path) in (".jsonl", ".ndjson"):
        # DuckDB's reader of lines takes no byte order mark.
        with text.open("rb") as file:
            marked = file.read(3) == b"\xef\xbb\xbf"
        return "unstructured" if marked else "newline_delimited"
    with text_lines(text) as file:
        for line in file:
            if line.strip():
                return "array" if line.lstrip().startswith("[") else "unstructured"
    return "unstructured"


def _keys(connection: duckdb.DuckDBPyConnection, text: Path, path: Path, name: str) -> list[str]:
    twice = first_row(
        connection,
        f"select row, keys from (select row_number() over () as row, json_keys(raw) as keys "
        f"from {name}_objects) where len(keys) <> list_unique(keys) limit 1",
    )
    if twice is not None:
        again = next(k for k in twice[1] if twice[1].count(k) > 1)
        raise DataError(
            f"the object has the key {again!r} twice",
            where=_place(text, path, twice[0]),
            hint="keep one of them",
        )
    found = connection.execute(
        "select key from (select unnest(keys) as key, min(row) as row from ("
        f"select json_keys(raw) as keys, min(row) as row from (select raw, row_number() over () "
        f"as row from {name}_objects) group by keys) group by key) order by row"
    ).fetchall()
    names = _in_order(connection, [k for (k,) in found], name)
    if not names:
        raise DataError(
            "there are no rows in it, and so no columns",
            where=str(path),
            hint='give a file with JSON objects: {"key": "value"}, one a line',
        )
    check_names(names, str(path))
    return names


def _in_order(connection: duckdb.DuckDBPyConnection, found: list[str], name: str) -> list[str]:
    """Keys as the first object has them, then those of later ones."""
    first = first_row(connection, f"select json_keys(raw) from {name}_objects limit 1")
    leading = [] if first is None else list(first[0])
    return leading + [k for k in found if k not in leading]


def _take_apart(connection: duckdb.DuckDBPyConnection, keys: list[str], name: str) -> None:
    pointers = ", ".join(literal("/" + k.replace("~", "~0").replace("/", "~1")) for k in keys)
    columns = ", ".join(f"found[{n}] as {quoted(k)}" for n, k in enumerate(keys, 1))
    connection.execute(
        f"create or replace temp table {name} as select {columns}, raw as {RAW} from "
        f"(select raw, json_extract(raw, [{pointers}]) as found from {name}_objects)"
    )
    connection.execute(f"drop table {name}_objects")


def _malformed(text: Path, path: Path, error: duckdb.Error) -> DataError:
    """The first place at which it is not JSON, by Python's reader; DuckDB counts lines otherwise."""
    content = text.read_text(encoding="utf-8-sig")
    decoder, at = json.JSONDecoder(), 0
    array = content.lstrip().startswith("[")
    try:
        if array:
            json.loads(content)
        while not array and (at := _after_blanks(content, at)) < len(content):
            at = decoder.raw_decode(content, at)[1]
    except json.JSONDecodeError as fault:
        return DataError(
            f"it is not JSON: {fault.msg}",
            where=Location(str(path), fault.lineno, fault.colno),
            hint="fix the line; nothing was written",
        )
    lone = next((m.start() for m in _SURROGATES.finditer(content) if m[1]), None)
    if lone is not None:
        return DataError(
            f"{content[lone : lone + 6]} is half of a character",
            where=Location(str(path), content.count("\n", 0, lone) + 1),
            hint="write both halves, or the character itself; nothing was written",
        )
    return unreadable_file(path, error)


#: A character as a pair of escapes; half of one (group 1); or another escape.
_SURROGATES = re.compile(
    r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\(u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)


def _place(text: Path, path: Path, number: int) -> Location | str:
    """The line on which an object starts; counted from 1."""
    content = text.read_text(encoding="utf-8-sig")
    decoder, at = json.JSONDecoder(), 0
    if content.lstrip().startswith("["):
        at = content.index("[") + 1
    for seen in range(1, number + 1):
        at = _after_blanks(content, at, " \t\r\n,")
        if seen == number:
            return Location(str(path), content.count("\n", 0, at) + 1)
        at = decoder.raw_decode(content, at)[1]
    return str(path)


def _after_blanks(content: str, at: int, blanks: str = " \t\r\n") -> int:
    while at < len(content) and content[at] in blanks:
        at += 1
    return at
