"""Read a spine by the rules of every other file, its instants cut to the microsecond."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from feature_specs.errors import DataError, UnknownNameError, did_you_mean, first_line
from feature_specs.names import fold_name
from feature_specs.quote import quoted
from feature_specs.time_zones import check_zone
from lakehouse.ingest.infer_types import infer_types
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.plain_text import plain_text
from lakehouse.ingest.read_columns import read_columns, refuse_changed
from lakehouse.ingest.read_json import ColumnReading
from lakehouse.ingest.read_text import INSTANT, read_text
from lakehouse.ingest.read_typed import NAIVE, NOTHING
from lakehouse.ingest.source import (
    JSON,
    TEXT,
    FileOptions,
    Source,
    check_file,
    first_row,
    format_of,
    unreadable_file,
)

_TABLE = "forebay_spine_file"
#: The column that numbers a spine's rows, from 0 in the order of the file.
ROW = "forebay_row"
_EVENT = "event_timestamp"


@dataclass(frozen=True)
class Spine:
    """A spine's rows: SQL that reads them, DuckDB types by column, and the column of instants.

    Attributes:
        row: the further column of ``sql`` that numbers the rows; empty where they are not numbered.
    """

    sql: str
    columns: Mapping[str, str]
    timestamp: str
    row: str = ""


def read_spine(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    timestamp: str | None,
    timezone: str | None,
    types: Mapping[str, str],
    numbered: bool = False,
) -> Spine:
    """The rows of a Parquet, CSV or JSON file, each value as it stands there.

    Args:
        numbered: with the column ROW.
        timestamp: the column of instants; by default ``event_timestamp``, or the only time there is.
        timezone: the zone of instants that have none.
        types: DuckDB types of keys and request values, as which text and JSON are read.

    Raises:
        DataError: the file cannot be read, a value is not of its type, or an instant has no zone.
        UnknownNameError: there is no such column.
    """
    if timezone is not None:
        check_zone(timezone, where="--timezone")
    with tempfile.TemporaryDirectory(prefix="forebay") as folder, _kept_in_order(connection):
        try:
            if _holds_nothing(path, Path(folder)):
                return _no_rows(types, timestamp, ROW if numbered else "")
            source = open_source(connection, path, FileOptions(), Path(folder), _TABLE)
            named = str(path)
            return _read_source(connection, source, named, timestamp, timezone, types, numbered)
        except duckdb.Error as error:
            raise unreadable_file(path, error) from None


def read_spine_query(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    *,
    timestamp: str | None,
    timezone: str | None,
    types: Mapping[str, str],
    numbered: bool = False,
) -> Spine:
    """The rows of a query, which is run once, its instants as `read_spine` has them.

    Raises:
        DataError: the query fails, or an instant has no zone.
        UnknownNameError: there is no such column.
    """
    if timezone is not None:
        check_zone(timezone, where="--timezone")
    try:
        connection.execute(f"create or replace table {_TABLE}_query as {query}")
        described = connection.execute(f"describe {_TABLE}_query").fetchall()
    except duckdb.Error as error:
        raise DataError(first_line(error), where="spine query", hint="fix the query") from None
    kinds = {name: kind for name, kind, *_ in described}
    rows = f"{_TABLE}_query"
    source = Source(Path("spine query"), rows, kinds, lambda row: "spine query")
    if "file_row_number" not in map(fold_name, kinds):
        source = replace(source, numbered=f"(select *, rowid as file_row_number from {rows})")
    named = "spine query"
    return _read_source(connection, source, named, timestamp, timezone, types, numbered)


@contextmanager
def _kept_in_order(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Text is read into a table whose rows stand as in the file."""
    connection.execute("set preserve_insertion_order = true")
    try:
        yield
    finally:
        connection.execute("set preserve_insertion_order = false")


def read_rows(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, Mapping[str, str]]:
    """SQL of a file's rows without an instant of their own, and DuckDB types by column.

    Raises:
        DataError: the file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="forebay") as folder:
        try:
            source = open_source(connection, path, FileOptions(), Path(folder), _TABLE)
            columns = _types(connection, source, {}, None)
            return _read(connection, source, columns, None, None).sql, columns
        except duckdb.Error as error:
            raise unreadable_file(path, error) from None


def _read_source(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    named: str,
    timestamp: str | None,
    timezone: str | None,
    types: Mapping[str, str],
    numbered: bool,
) -> Spine:
    columns = _types(connection, source, types, timestamp)
    chosen = choose_instant(columns, timestamp, named)
    _check_instant(columns[chosen], chosen, timezone, named)
    if not numbered:
        return _read(connection, source, columns, chosen, timezone)
    taken = next((n for n in columns if fold_name(n) == ROW), None)
    if taken is not None:
        raise DataError(
            f"the spine has a column {taken!r}, by whose name forebay numbers rows",
            where=named,
            hint="rename the column",
        )
    return _read(connection, source, columns, chosen, timezone, ROW)


def _holds_nothing(path: Path, folder: Path) -> bool:
    """Whether a text file has neither rows nor the names of columns."""
    check_file(path)
    if format_of(path) == "parquet":
        return False
    text = plain_text(path, FileOptions(), folder)
    return text.stat().st_size < 100 and text.read_text().strip("\ufeff \t\r\n") in ("", "[]")


def _no_rows(types: Mapping[str, str], timestamp: str | None, row: str) -> Spine:
    columns = {**types, timestamp or _EVENT: INSTANT}
    listed = ", ".join(f"cast(null as {kind}) as {quoted(n)}" for n, kind in columns.items())
    listed += f", cast(null as bigint) as {row}" if row else ""
    return Spine(f"select {listed} where false", columns, timestamp or _EVENT, row)


def _types(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    given: Mapping[str, str],
    timestamp: str | None,
) -> dict[str, str]:
    if first_row(connection, f"select 1 from {source.relation} limit 1") is None:
        given = {**given, fold_name(timestamp or _EVENT): INSTANT}
    instant = {fold_name(timestamp or _EVENT): INSTANT}
    nothing = {
        n: {**given, **instant}.get(fold_name(n), kind)
        for n, kind in source.kinds.items()
        if kind == NOTHING
    }
    text = [n for n, kind in source.kinds.items() if kind in (TEXT, JSON)]
    asked = {n: given.get(fold_name(n), "") for n in text}
    known = {n: kind for n, kind in asked.items() if read_text("x", kind, None, "down")}
    try:
        rest = [n for n in text if n not in known]
        inferred = infer_types(connection, source, rest, empty="VARCHAR")
    except DataError as error:
        # Types are named to `ingest`; `train` has no option for them.
        hint = "write all values of the column alike"
        raise DataError(error.what, where=error.where, hint=hint) from None
    known |= nothing
    return {n: known.get(n) or inferred.get(n) or kind for n, kind in source.kinds.items()}


def choose_instant(columns: Mapping[str, str], wanted: str | None, named: str) -> str:
    """The column of instants: the one that is wanted, ``event_timestamp``, or the only time.

    Args:
        columns: DuckDB types by name.
        named: what errors call the spine.

    Raises:
        UnknownNameError: there is no such column.
        DataError: none is wanted, and there is not one time.
    """
    if wanted is not None:
        if wanted not in columns:
            raise UnknownNameError(
                f"the spine has no column {wanted!r}",
                where=f"{named}, --timestamp",
                hint=did_you_mean(wanted, columns),
            )
        return wanted
    times = [n for n, kind in columns.items() if kind.startswith(("TIMESTAMP", "DATE"))]
    if _EVENT in times or (_EVENT in columns and not times):
        return _EVENT
    if len(times) == 1:
        return times[0]
    raise DataError(
        f"the spine has {len(times)} time columns, so which one is the instant asked is not clear",
        where=named,
        hint="name it with --timestamp" if times else "add a column event_timestamp of instants",
    )


def _check_instant(kind: str, name: str, timezone: str | None, named: str) -> None:
    if not kind.startswith("TIMESTAMP"):
        raise DataError(
            f"the instant {name!r} is a {kind}",
            where=named,
            hint="make it a timestamp with time zone, in text 2024-01-31T13:30:00Z",
        )
    if kind in NAIVE and timezone is None:
        raise DataError(
            f"the instants in {name!r} have no time zone",
            where=named,
            hint="say which it is: --timezone UTC",
        )


def _read(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    columns: dict[str, str],
    chosen: str | None,
    timezone: str | None,
    row: str = "",
) -> Spine:
    """Text is read once, into a table; of a Parquet file only its instants are.

    Args:
        row: a further column, which numbers the rows; none where it is empty.
    """
    columns = columns if chosen is None else {**columns, chosen: INSTANT}
    stored = [n for n, kind in source.kinds.items() if kind not in (TEXT, JSON) and n != chosen]
    stored = [n for n in stored if source.kinds[n] == columns[n]]
    cast = {n: kind for n, kind in columns.items() if n not in stored}
    readings = read_columns(source, cast, timezone=timezone, rounding="down", exact_types=True)
    refuse_changed(connection, source, readings, cast, timezone=timezone)
    readings = {n: readings.get(n) or ColumnReading(quoted(n), None) for n in columns}
    select = ", ".join(f"{r.value} as {quoted(n)}" for n, r in readings.items())
    sql, timestamp = f"select {select} from {source.relation}", chosen or ""
    is_text = any(kind in (TEXT, JSON) for kind in source.kinds.values())
    if row and source.numbered and not is_text:
        sql = f"select {select}, file_row_number as {row} from {source.numbered}"
        return Spine(sql, columns, timestamp, row)
    if not is_text and not row:
        return Spine(sql, columns, timestamp)
    # No temporary table: other cursors read it too.
    connection.execute(f"create or replace table {_TABLE}_rows as {sql}")
    connection.execute(f"drop table if exists {_TABLE}")
    number = f", rowid as {row}" if row else ""
    return Spine(f"select *{number} from {_TABLE}_rows", columns, timestamp, row)
