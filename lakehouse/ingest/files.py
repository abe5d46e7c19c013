"""One CSV, Parquet or JSON file into one Iceberg table, in one commit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.io.pyarrow import UnsupportedPyArrowTypeException
from pyiceberg.table import Table

from feature_specs.errors import DataError, ForebayError, UnknownNameError, did_you_mean, first_line
from feature_specs.progress import Progress
from feature_specs.quote import quoted
from feature_specs.time_zones import SESSION_AT_UTC, check_zone
from lakehouse.commit import Mode, commit_rows
from lakehouse.describe_tables import TableFacts, facts_of
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.fit_table import Fit, SchemaChanges, fit_table
from lakehouse.ingest.infer_types import infer_types
from lakehouse.ingest.open_source import open_source
from lakehouse.ingest.read_columns import known_type, read_columns, refuse_changed, select_columns
from lakehouse.ingest.read_text import INSTANT, cast_text
from lakehouse.ingest.read_typed import NAIVE, NOTHING, is_nested, stored_type
from lakehouse.ingest.source import (
    JSON,
    TEXT,
    FileOptions,
    Source,
    check_file,
    first_row,
    format_of,
    types_hint,
    unreadable_file,
)
from lakehouse.lake import find_table
from lakehouse.row_stream import RowStream

_BATCH = 65_536


@dataclass(frozen=True)
class Ingested:
    """What became of a file.

    Attributes:
        rows: how many it had, all of them written.
        before, after: the table, with None for one that was not there.
        inferred: columns of the file whose types were chosen by their values.
    """

    rows: int
    before: TableFacts | None
    after: TableFacts
    inferred: tuple[str, ...] = ()


def ingest_file(
    catalog: Catalog,
    identifier: str,
    path: Path,
    *,
    mode: Mode,
    options: FileOptions | None = None,
    changes: SchemaChanges | None = None,
    progress: Progress | None = None,
) -> Ingested:
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

    Raises:
        ForebayError: the table's name or an option is not one we know.
        DataError: the file cannot be read, its columns are not the table's, or a value would change.
    """
    options, changes = options or FileOptions(), changes or SchemaChanges()
    _check(identifier, path, options)
    table = find_table(catalog, identifier)
    before = None if table is None else facts_of(table, identifier)
    with tempfile.TemporaryDirectory(prefix="forebay") as folder, duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)
        connection.execute(f"set temp_directory = '{folder}'")
        with _explained(path, identifier):
            source = open_source(connection, path, options, Path(folder))
            _check_delimiter(source, options)
            options = replace(options, types=_known_types(connection, source, options))
            fit = (
                Fit({n: options.types.get(n) for n in source.kinds}, None)
                if table is None
                else fit_table(table.schema(), source, options, changes, identifier)
            )
            rows, count = read_rows(connection, source, fit, table, options, identifier)
            rows = _told(rows, count, f"rows into {identifier}", progress)
            written = commit_rows(
                catalog, identifier, rows, mode=mode, columns="add", change=fit.change
            )
    return Ingested(count, before, facts_of(written, identifier), _open_ended(source, fit.types))


@contextmanager
def _explained(path: Path, identifier: str) -> Iterator[None]:
    """What libraries raise of a file or of its values becomes a DataError that names the file."""
    try:
        yield
    except duckdb.Error as error:
        raise unreadable_file(path, error) from error
    except pa.ArrowInvalid as error:
        raise DataError(
            f"columns of table {identifier} do not hold its values: {first_line(error)}",
            where=str(path),
            hint="fix the values; nothing was written",
        ) from error
    except (UnsupportedPyArrowTypeException, ValidationError) as error:
        raise DataError(
            f"Iceberg has no such column: {error}",
            where=str(path),
            hint="write it as a type that Iceberg has, such as text; nothing was written",
        ) from error


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
    if options.timezone is None:
        casts = {n: cast_text(quoted(n), wanted[n], "up") for n in seen}
        readings |= {n: replace(readings[n], value=sql) for n, sql in casts.items()}
    unseen = {n: r for n, r in readings.items() if n not in seen or options.timezone is not None}
    refuse_changed(connection, source, unseen, wanted, timezone=options.timezone, required=required)
    for name in (n for n, kind in held.items() if kind == "UUID" and n in readings):
        value = f"unhex(replace({readings[name].value}::varchar, '-', ''))"
        readings[name] = replace(readings[name], value=value)
    sql = select_columns(source, readings)
    schema = connection.sql(f"{sql} limit 0").to_arrow_table().schema
    if table is not None:
        schema = _as_held(schema, table.schema().as_arrow(), held, wanted)
    counted = first_row(connection, f"select count(*) from {source.relation}")
    assert counted is not None

    def batches() -> Iterator[pa.RecordBatch]:
        seen = 0
        for batch in connection.sql(sql).to_arrow_reader(_BATCH):
            yield _cast(batch, schema, source, seen)
            seen += batch.num_rows
        source.check_unchanged()

    return RowStream(schema, batches), int(counted[0])


def _cast(batch: pa.RecordBatch, schema: pa.Schema, source: Source, seen: int) -> pa.RecordBatch:
    """A batch as the table's columns; the first row that does not fit is named."""
    try:
        return batch.cast(schema)
    except pa.ArrowInvalid as error:
        for row in range(batch.num_rows):
            try:
                # A slice of a list is still cast with the rows around it: take the row out.
                batch.take([row]).cast(schema)
            except pa.ArrowInvalid as fault:
                raise DataError(
                    f"the table's columns do not hold the row: {first_line(fault)}",
                    where=source.place(seen + row + 1),
                    hint="fix the value; nothing was written",
                ) from None
        raise unreadable_file(source.path, error) from None


def _types(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    asked: Mapping[str, str | None],
    options: FileOptions,
) -> dict[str, str]:
    """A DuckDB type for each column: as asked, as the file has it, or as its values look."""
    inferred = infer_types(connection, source, _open_ended(source, asked))
    types: dict[str, str] = {}
    for name, kind in asked.items():
        own = kind or inferred.get(name) or stored_type(source.kinds[name])
        local = own == "TIMESTAMP" and kind is None and options.timezone is not None
        types[name] = INSTANT if local else own
    return types


def _open_ended(source: Source, asked: Mapping[str, str | None]) -> tuple[str, ...]:
    """The columns whose types neither the file nor anybody says."""
    loose = (TEXT, JSON, NOTHING)
    return tuple(n for n, kind in asked.items() if kind is None and source.kinds[n] in loose)


def _refuse_naive(
    source: Source,
    wanted: Mapping[str, str],
    asked: Mapping[str, str | None],
    options: FileOptions,
    identifier: str,
) -> None:
    """New columns take local times only when told to; a zone goes only to columns of instants."""
    local = [n for n, kind in wanted.items() if asked[n] is None and _has_local_times(kind)]
    if local and not options.keeps_local():
        raise DataError(
            f"the times of {', '.join(map(repr, local))} have no time zone",
            where=str(source.path),
            hint=_zone_hint({n: wanted[n] for n in local}),
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
                hint=f"leave it out, or make the column one of instants: `forebay drop {identifier}`"
                ", then load all of its rows with --timezone",
            )


def _zone_hint(local: Mapping[str, str]) -> str:
    keep = f"keep local times with {types_hint(local)}, for a source with meta.timezone"
    if any(is_nested(kind) for kind in local.values()):
        return f"write those within lists and structs as instants, or {keep}"
    return f"say which it is, for example --timezone UTC, or {keep}"


def _has_local_times(kind: str) -> bool:
    return "TIMESTAMP" in kind.replace(INSTANT, "").replace("TIMESTAMPTZ", "")


def _as_held(
    schema: pa.Schema, held: pa.Schema, was: Mapping[str, str], wanted: Mapping[str, str]
) -> pa.Schema:
    """The rows' schema, with the table's own fields where their types are as they were."""
    fields = []
    for own in schema:
        if own.name in was and was[own.name] in (wanted[own.name], stored_type(wanted[own.name])):
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
                hint=did_you_mean(name, source.kinds),
            )
    known = {name: known_type(connection, name, kind) for name, kind in options.types.items()}
    # Iceberg's widest: a HUGEINT may have a digit more.
    return {n: re.sub(r'("[^"]*")|\bHUGEINT\b', _widest, kind) for n, kind in known.items()}


def _widest(found: re.Match[str]) -> str:
    return found[1] or stored_type("HUGEINT")


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


def _check_delimiter(source: Source, options: FileOptions) -> None:
    """Raise where the only column is named like several with another delimiter."""
    (name, *more) = source.kinds
    other = re.search(r"\w([;\t|])\w", name)
    if format_of(source.path) == "csv" and not more and other and options.delimiter is None:
        raise DataError(
            f"its only column is {name!r}",
            where=source.place(0),
            hint=f"say --delimiter {other[1]!r}, or --delimiter ',' if that is its name",
        )


def _check(identifier: str, path: Path, options: FileOptions) -> None:
    if not re.fullmatch(r"\w+(\.\w+)+", identifier):
        raise ForebayError(
            f"{identifier!r} is not a table's dotted name",
            where="forebay ingest",
            hint="write namespace.table",
        )
    check_file(path)
    if options.timezone is not None:
        check_zone(options.timezone, where="--timezone")
    for option, text in (("--delimiter", options.delimiter), ("--quote", options.quote)):
        least = 0 if option == "--quote" else 1
        if text is not None and not (least <= len(text) <= 1 and text not in ("\n", "\r", "\0")):
            raise ForebayError(
                f"{text!r} is not one character", where=option, hint="give one, such as ';'"
            )
    if options.delimiter is not None and options.delimiter == options.quote:
        raise ForebayError(
            f"{options.quote!r} cannot be quote and delimiter",
            where="--delimiter",
            hint="give another, or --quote '' where there are no quotes",
        )
