"""One CSV, Parquet or JSON file into one Iceberg table, in one commit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException
from pyiceberg.table import Table

from feature_specs.errors import DataError, ForebayError
from lakehouse.commit import Mode, Progress, commit_rows
from lakehouse.ingest.columns import new_columns, table_columns
from lakehouse.lake import find_table
from lakehouse.quote import quoted

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}


def ingest_file(
    catalog: Catalog,
    identifier: str,
    path: Path,
    *,
    mode: Mode,
    timezone: str | None = None,
    progress: Progress | None = None,
) -> int:
    """Append a file's rows to a table, or make them its whole content.

    The table and its namespace are created when missing, with the types that DuckDB reads from the
    file. An existing table's types hold: CSV and JSON are read as those types, Parquet's may widen
    to them. Nothing is written unless all rows are. Empty CSV fields are null. Instants are stored
    in UTC to the microsecond; finer ones are rounded up.

    Args:
        catalog: where the table is.
        identifier: its dotted name.
        path: a .csv, .tsv, .parquet, .json, .jsonl or .ndjson file; text may be gzipped (.gz).
        mode: ``append`` or ``replace``.
        timezone: the zone of the file's naive timestamps, e.g. ``America/New_York``; they are
            then stored as instants. Without it they stay naive.
        progress: called as (label, done, total).

    Returns:
        How many rows were written.

    Raises:
        ForebayError: the file's format, the table's name or the zone is not one we know.
        DataError: the file cannot be read, or its columns are not the table's.
    """
    _check(identifier, path, timezone)
    _tell(progress, f"reading {path.name}", 0)
    table = find_table(catalog, identifier)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            rows = _read(connection, path, table, identifier, timezone)
        except (duckdb.Error, pa.ArrowInvalid, ValueError) as error:
            raise DataError(
                f"cannot read it for table {identifier}: {_gist(error)}",
                where=str(path),
                mend="mend the file; nothing was written",
            ) from error
    _tell(progress, f"writing {identifier}", 1)
    try:
        commit_rows(catalog, identifier, rows, mode=mode)
    except (UnsupportedPyArrowTypeException, ValidationError) as error:
        raise DataError(
            f"Iceberg has no such column: {error}",
            where=str(path),
            mend="write it as a type that Iceberg has, such as text; nothing was written",
        ) from error
    _tell(progress, f"wrote {identifier}", 2)
    return int(rows.num_rows)


def _read(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    table: Table | None,
    identifier: str,
    timezone: str | None,
) -> pa.Table:
    found = _types(connection, f"select * from {_scan(path)}")
    if table is None:
        columns = new_columns(found, timezone)
        forced: dict[str, str] = {}
    else:
        schema = table.schema().as_arrow()
        connection.register("target", schema.empty_table())
        wanted = _types(connection, "select * from target")
        text = _format(path) != "parquet"
        columns, forced = table_columns(
            found, wanted, timezone, text=text, where=str(path), identifier=identifier
        )
    select = ", ".join(f"{sql} as {quoted(name)}" for name, sql in columns.items())
    rows = connection.sql(f"select {select} from {_scan(path, forced)}").to_arrow_table()
    return rows if table is None else rows.cast(schema)


def _types(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"describe {sql}").fetchall()}


def _scan(path: Path, forced: Mapping[str, str] | None = None) -> str:
    """A call of DuckDB's reader; forced types go by column where the format is text."""
    kind = _format(path)
    arguments = ["'" + str(path).replace("'", "''") + "'"]
    types = ", ".join(f"{quoted(name)}: '{kind}'" for name, kind in (forced or {}).items())
    if kind == "csv":
        arguments += ["header = true", "sample_size = -1"]
        arguments += [f"types = {{{types}}}"] if types else []
    if kind == "json":
        arguments += [f"columns = {{{types}}}"] if types else ["sample_size = -1"]
    return f"read_{kind}({', '.join(arguments)})"


def _format(path: Path) -> str | None:
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    return _FORMATS.get(suffixes[-1]) if suffixes else None


def _check(identifier: str, path: Path, timezone: str | None) -> None:
    if not re.fullmatch(r"\w+(\.\w+)+", identifier):
        raise ForebayError(
            f"{identifier!r} is not a table's dotted name",
            where="forebay ingest",
            mend="write namespace.table",
        )
    if _format(path) is None:
        raise ForebayError(
            f"the format of {path.name!r} is not known",
            where=str(path),
            mend="give a file that ends in " + ", ".join(_FORMATS),
        )
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), mend="check the path")
    if timezone is not None:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ForebayError(
                f"there is no time zone {timezone!r}",
                where="forebay ingest",
                mend="name one of the IANA database, such as America/New_York",
            ) from None


def _gist(error: Exception) -> str:
    """What DuckDB or Arrow found, without the advice that follows its first paragraph."""
    return str(error).strip().split("\n\n")[0]


def _tell(progress: Progress | None, label: str, done: int) -> None:
    if progress is not None:
        progress(label, done, 2)
