"""One CSV, Parquet or JSON file into one Iceberg table, in one commit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException
from pyiceberg.table import Table

from feature_specs.errors import DataError, ForebayError, UnknownNameError, did_you_mean, first_line
from feature_specs.time_zones import check_zone
from lakehouse.commit import Mode, Progress, commit_rows
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.fit_table import Fit, SchemaChanges, fit_table
from lakehouse.ingest.infer_types import infer_types
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.read_columns import known_type, read_columns, refuse_changed, select_columns
from lakehouse.ingest.read_text import INSTANT
from lakehouse.ingest.read_typed import NAIVE, stored_type
from lakehouse.ingest.source import (
    JSON,
    TEXT,
    FileOptions,
    Source,
    check_file,
    first_row,
    types_hint,
)
from lakehouse.lake import find_table
from lakehouse.row_stream import RowStream

_BATCH = 65_536


def ingest_file(
    catalog: Catalog,
    identifier: str,
    path: Path,
    *,
    mode: Mode,
    options: FileOptions | None = None,
    changes: SchemaChanges | None = None,
    progress: Progress | None = None,
) -> int:
    """Append a file's rows to a table, or make them its whole content.

    The table and its namespace are created when missing. Each value comes through unchanged, or
    nothing is written and the first that would not is named with its line. See docs/ingest.md.

    Args:
        catalog: where the table is.
        identifier: its dotted name.
        path: a .csv, .tsv, .parquet, .json, .jsonl or .ndjson file; text may be gzipped (.gz).
        mode: ``append`` or ``replace``.
        options: how the file is written, where its name does not say.
        changes: what may become of the columns of a table that is there.
        progress: called as (label, done, total) with rows.

    Returns:
        How many rows were written.

    Raises:
        ForebayError: the table's name or an option is not one we know.
        DataError: the file cannot be read, its columns are not the table's, or a value would change.
    """
    options, changes = options or FileOptions(), changes or SchemaChanges()
    _check(identifier, path, options)
    table = find_table(catalog, identifier)
    with tempfile.TemporaryDirectory(prefix="forebay") as folder, duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set temp_directory = '{folder}'")
        try:
            source = open_source(connection, path, options, Path(folder))
            options = replace(options, types=_known_types(connection, source, options))
            fit = (
                Fit({n: options.types.get(n) for n in source.kinds}, None)
                if table is None
                else fit_table(table.schema(), source, options, changes, identifier)
            )
            rows, count = read_rows(connection, source, fit, table, options, identifier)
            rows = _told(rows, count, f"rows into {identifier}", progress)
            commit_rows(catalog, identifier, rows, mode=mode, columns="add", change=fit.change)
        except duckdb.Error as error:
            raise DataError(
                f"cannot read it for table {identifier}: {first_line(error)}",
                where=str(path),
                mend="mend the file; nothing was written",
            ) from error
        except (UnsupportedPyArrowTypeException, ValidationError) as error:
            raise DataError(
                f"Iceberg has no such column: {error}",
                where=str(path),
                mend="write it as a type that Iceberg has, such as text; nothing was written",
            ) from error
    return count


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    fit: Fit,
    table: Table | None,
    options: FileOptions,
    identifier: str,
) -> tuple[RowStream, int]:
    """The rows as they are to be written, once every value was looked at; and how many."""
    held = {} if table is None else column_types(table.schema())
    wanted = _types(connection, source, fit.types, options)
    _refuse_naive(source, wanted, fit.types, options, identifier)
    readings = read_columns(source, wanted, timezone=options.timezone)
    required = frozenset(
        field.name
        for field in (table.schema().fields if table is not None else ())
        if field.required
    )
    # Every value of a column whose type was inferred has been read as that type already.
    seen = {n for n in wanted if fit.types[n] is None and source.kinds[n] == TEXT}
    unseen = {n: r for n, r in readings.items() if n not in seen or options.timezone is not None}
    refuse_changed(connection, source, unseen, wanted, timezone=options.timezone, required=required)
    sql = select_columns(source, readings)
    schema = connection.sql(f"{sql} limit 0").to_arrow_table().schema
    if table is not None:
        schema = _as_held(schema, table.schema().as_arrow(), held, wanted)
    counted = first_row(connection, f"select count(*) from {source.relation}")
    assert counted is not None

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in connection.sql(sql).to_arrow_reader(_BATCH):
            yield batch.cast(schema)

    return RowStream(schema, batches), int(counted[0])


def _types(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    asked: Mapping[str, str | None],
    options: FileOptions,
) -> dict[str, str]:
    """A DuckDB type for each column: as asked, as the file has it, or as its values look."""
    open_ended = [
        n for n, kind in asked.items() if kind is None and source.kinds[n] in (TEXT, JSON)
    ]
    inferred = infer_types(connection, source, open_ended)
    types: dict[str, str] = {}
    for name, kind in asked.items():
        own = kind or inferred.get(name) or stored_type(source.kinds[name])
        local = own == "TIMESTAMP" and kind is None and options.timezone is not None
        types[name] = INSTANT if local else own
    return types


def _refuse_naive(
    source: Source,
    wanted: Mapping[str, str],
    asked: Mapping[str, str | None],
    options: FileOptions,
    identifier: str,
) -> None:
    """New columns take local times only when told to; a zone goes only to columns of instants."""
    local = [n for n, kind in wanted.items() if asked[n] is None and _has_local_times(kind)]
    if local:
        raise DataError(
            f"the times of {', '.join(map(repr, local))} have no time zone",
            where=str(source.path),
            mend="say which it is, for example --timezone UTC, or keep local times with "
            + types_hint(local, "timestamp"),
        )
    if options.timezone is None:
        return
    for name, kind in wanted.items():
        naive = source.kinds[name] in (TEXT, JSON, *NAIVE)
        if kind == "TIMESTAMP" and naive and name not in options.types:
            raise DataError(
                f"column {name!r} of table {identifier} holds times without a zone, so --timezone "
                "would be lost",
                where="--timezone",
                mend=f"leave it out, or make the column one of instants: `forebay drop {identifier}`"
                ", then load all of its rows with --timezone",
            )


def _has_local_times(kind: str) -> bool:
    return "TIMESTAMP" in kind.replace(INSTANT, "").replace("TIMESTAMPTZ", "")


def _as_held(
    schema: pa.Schema, held: pa.Schema, was: Mapping[str, str], wanted: Mapping[str, str]
) -> pa.Schema:
    """The rows' schema, with the table's own fields where their types are as they were."""
    fields = []
    for own in schema:
        if own.name in was and was[own.name] == stored_type(wanted[own.name]):
            own = held.field(own.name)
        fields.append(own.remove_metadata())
    return pa.schema(fields)


def _known_types(
    connection: duckdb.DuckDBPyConnection, source: Source, options: FileOptions
) -> dict[str, str]:
    for name in options.types:
        if name not in source.kinds:
            raise UnknownNameError(
                f"the file has no column {name!r}",
                where="--types",
                mend=did_you_mean(name, source.kinds),
            )
    return {name: known_type(connection, name, kind) for name, kind in options.types.items()}


def _told(rows: RowStream, total: int, label: str, progress: Progress | None) -> RowStream:
    if progress is None:
        return rows

    def batches() -> Iterator[pa.RecordBatch]:
        done = 0
        progress(label, done, total)
        for batch in rows.batches():
            yield batch
            done += batch.num_rows
            progress(label, done, total)

    return RowStream(rows.schema, batches)


def _check(identifier: str, path: Path, options: FileOptions) -> None:
    if not re.fullmatch(r"\w+(\.\w+)+", identifier):
        raise ForebayError(
            f"{identifier!r} is not a table's dotted name",
            where="forebay ingest",
            mend="write namespace.table",
        )
    check_file(path)
    if options.timezone is not None:
        check_zone(options.timezone, where="--timezone")
    for option, text in (("--delimiter", options.delimiter), ("--quote", options.quote)):
        least = 0 if option == "--quote" else 1
        if text is not None and not (least <= len(text) <= 1 and text not in ("\n", "\r")):
            raise ForebayError(
                f"{text!r} is not one character", where=option, mend="give one, such as ';'"
            )
