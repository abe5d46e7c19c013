"""Read one file's rows as a table's columns, checking every value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
from pyiceberg.schema import Schema

from feature_specs.errors import DataError, UnknownNameError, did_you_mean, first_line
from feature_specs.quote import quoted
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.infer_types import infer_types
from lakehouse.ingest.quarantine import Misfit, Tests, find_misfits
from lakehouse.ingest.read_columns import (
    known_type,
    read_columns,
    refuse_changed,
    refuse_mixed,
    select_columns,
    tests_of,
)
from lakehouse.ingest.read_text import INSTANT, cast_text
from lakehouse.ingest.read_typed import NAIVE, NOTHING, is_nested, stored_type
from lakehouse.ingest.source import (
    JSON,
    TEXT,
    FileOptions,
    Source,
    first_row,
    types_hint,
    unreadable_file,
)
from lakehouse.row_stream import RowStream

_BATCH = 65_536


@dataclass(frozen=True)
class Reading:
    """A file's rows as the columns of a table.

    Attributes:
        sql: a SELECT of them, as DuckDB's own types.
        arrow_sql: the same, a UUID as its bytes.
        schema: Arrow's, with the table's own fields where their types are as they were.
        rows: how many there are.
        misfits: rows of the file that are none of them.
    """

    source: Source
    sql: str
    arrow_sql: str
    schema: pa.Schema
    rows: int
    misfits: tuple[Misfit, ...] = ()

    def types(self, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
        """DuckDB types of the columns."""
        described = connection.execute(f"describe {self.sql}").fetchall()
        return {name: kind for name, kind, *_ in described}

    def stream(
        self, connection: duckdb.DuckDBPyConnection, report: Callable[[int], None]
    ) -> RowStream:
        """The rows in batches. Raises DataError for the first that is none of the table's.

        Args:
            report: called with how many were read, as they are.
        """

        def batches() -> Iterator[pa.RecordBatch]:
            seen = 0
            for batch in connection.sql(self.arrow_sql).to_arrow_reader(_BATCH):
                yield _cast(batch, self.schema, self.source, seen)
                seen += batch.num_rows
                report(seen)

        return RowStream(self.schema, batches)


def read_rows(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    asked: Mapping[str, str | None],
    schema: Schema | None,
    options: FileOptions,
    identifier: str,
    *,
    quarantine: bool = False,
) -> Reading:
    """The rows as they are to be written, once every value was looked at.

    Args:
        quarantine: leave rows out that have a value which would be changed, unless all have.
        asked: DuckDB types by column, in the table's order; None where the values have to say.
        schema: of the table; None for one that is not there.

    Raises:
        DataError: a value would be changed.
    """
    held = {} if schema is None else column_types(schema)
    wanted = _types(connection, source, asked, options)
    _refuse_naive(source, wanted, asked, options, identifier)
    readings = read_columns(source, wanted, timezone=options.timezone)
    fields = () if schema is None else schema.fields
    required = frozenset(field.name for field in fields if field.required)
    # Every value of a column whose type was inferred has been read as that type already.
    seen = {n for n in wanted if asked[n] is None and source.kinds[n] == TEXT}
    if options.timezone is None:
        casts = {n: cast_text(quoted(n), wanted[n], "up") for n in seen}
        readings |= {n: replace(readings[n], value=sql) for n, sql in casts.items()}
    unseen = {n: r for n, r in readings.items() if n not in seen or options.timezone is not None}
    counted = first_row(connection, f"select count(*) from {source.relation}")
    assert counted is not None
    tests, misfits = Tests(tests_of(unseen, required)), list[Misfit]()
    if quarantine:
        refuse_mixed(connection, source, unseen, wanted, options.timezone)
        misfits = find_misfits(connection, source, tests, wanted, options.timezone)
    if not quarantine or len(misfits) == counted[0]:
        refuse_changed(
            connection, source, unseen, wanted, timezone=options.timezone, required=required
        )
    fit = f" where {tests.fits()}" if misfits else ""
    sql = select_columns(source, readings) + fit
    for name in (n for n, kind in held.items() if kind == "UUID" and n in readings):
        value = f"unhex(replace({readings[name].value}::varchar, '-', ''))"
        readings[name] = replace(readings[name], value=value)
    arrow_sql = select_columns(source, readings) + fit
    own = connection.sql(f"{arrow_sql} limit 0").to_arrow_table().schema
    if schema is not None:
        own = _as_held(own, schema.as_arrow(), held, wanted)
    rows = int(counted[0]) - len(misfits)
    return Reading(source, sql, arrow_sql, own, rows, tuple(misfits))


def _cast(batch: pa.RecordBatch, schema: pa.Schema, source: Source, seen: int) -> pa.RecordBatch:
    """A batch as the table's columns; the first row that is none is named."""
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
    inferred = infer_types(connection, source, open_ended(source, asked))
    types: dict[str, str] = {}
    for name, kind in asked.items():
        own = kind or inferred.get(name) or stored_type(source.kinds[name])
        local = own == "TIMESTAMP" and kind is None and options.timezone is not None
        types[name] = INSTANT if local else own
    return types


def open_ended(source: Source, asked: Mapping[str, str | None]) -> tuple[str, ...]:
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
    refuse_local({n: k for n, k in wanted.items() if asked[n] is None}, options, str(source.path))
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


def refuse_local(types: Mapping[str, str], options: FileOptions, where: str) -> None:
    """Raise DataError where new columns are of local times, and nobody says in which zone they are."""
    local = {n: kind for n, kind in types.items() if _has_local_times(kind)}
    if local and not options.keeps_local():
        raise DataError(
            f"the times of {', '.join(map(repr, local))} have no time zone",
            where=where,
            hint=_zone_hint(local),
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


def known_types(
    connection: duckdb.DuckDBPyConnection, source: Source, options: FileOptions
) -> dict[str, str]:
    """The types that options or the source's declaration give to columns, as Iceberg stores them.

    Raises:
        UnknownNameError: the file has no such column.
        ForebayError: DuckDB has no such type.
    """
    for name in options.types:
        if name not in source.kinds:
            raise UnknownNameError(
                f"the file has no column {name!r}",
                where="--types",
                hint=did_you_mean(name, source.kinds),
            )
    known = {name: known_type(connection, name, kind) for name, kind in options.types.items()}
    for name, kind in options.declared.items():
        if name in source.kinds and name not in known:
            known[name] = known_type(connection, name, kind, options.declared_in)
    # Iceberg's widest: a HUGEINT may have a digit more.
    return {n: re.sub(r'("[^"]*")|\bHUGEINT\b', _widest, kind) for n, kind in known.items()}


def _widest(found: re.Match[str]) -> str:
    return found[1] or stored_type("HUGEINT")
