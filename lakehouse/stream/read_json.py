"""Read JSON messages as table rows: each value comes through unchanged, or its message is rejected.

The rules are those for files (`lakehouse.ingest`), and the same SQL reads the values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.schema import Schema

from feature_specs.errors import first_line
from feature_specs.quote import literal, quoted
from feature_specs.time_zones import SESSION_AT_UTC
from lakehouse.duckdb_types import column_types
from lakehouse.ingest.open_json import LOOSE_COMMA, RAW, TEXT_IN_JSON
from lakehouse.ingest.read_columns import explain_value, read_columns
from lakehouse.ingest.source import JSON, Source
from lakehouse.stream.read_plain import NotPlainError, plain_readers, plain_row
from lakehouse.stream.rows import BadRow, ReadRows

_NO_ROW = "a row's object has the table's columns as keys"


class JsonReader:
    """Reads message values as rows of a schema."""

    def __init__(self, schema: Schema) -> None:
        self._types = column_types(schema)
        self._schema = pa.schema([f.remove_metadata() for f in schema.as_arrow()])
        self._required = {f.name for f in schema.fields if f.required}
        self._required_places = [n for n, f in enumerate(schema.fields) if f.required]
        self._readers = plain_readers(self._types)
        self._connection = duckdb.connect()
        self._connection.execute(SESSION_AT_UTC)
        self._connection.execute("set threads = 1")

    def read(self, values: Sequence[bytes | None]) -> ReadRows:
        """Read values in order; return valid rows, and rejected messages with their places."""
        plain: list[list[Any]] = []
        places: list[int] = []
        doubtful: list[tuple[int, str]] = []
        bad: list[BadRow] = []
        for place, value in enumerate(values):
            if value is None:
                bad.append(BadRow(place, "the message has no value"))
                continue
            try:
                text = value.decode()
                row = plain_row(text, self._readers)
            except UnicodeDecodeError as error:
                bad.append(BadRow(place, f"it is not UTF-8: {error}"))
            except NotPlainError:
                doubtful.append((place, text))
            else:
                if any(row[n] is None for n in self._required_places):
                    doubtful.append((place, text))
                    continue
                plain.append(row)
                places.append(place)
        columns = list(zip(*plain, strict=True)) if plain else [()] * len(self._schema)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, self._schema, strict=True)]
        rows = pa.Table.from_arrays(arrays, schema=self._schema)
        if doubtful:
            more, further, misfits = self._read_doubtful(doubtful)
            order = pa.array(places + further, pa.int64())
            rows = pa.concat_tables([rows, more]).take(pc.sort_indices(order))
            bad += misfits
        return ReadRows(rows, sorted(bad))

    def _read_doubtful(
        self, messages: Sequence[tuple[int, str]]
    ) -> tuple[pa.Table, list[int], list[BadRow]]:
        """Rows with their places, and rejected messages, by the SQL that reads files."""
        places, texts = zip(*messages, strict=True)
        self._connection.register("messages", pa.table({"place": places, "raw": texts}))
        bad = self._take_objects()
        bad += self._take_rows()
        rows, kept, misfits = self._rows()
        return rows, kept, bad + misfits

    def _take_objects(self) -> list[BadRow]:
        """Fill ``objects`` with the messages that are JSON objects with known, unrepeated keys."""
        known = ", ".join(literal(name) for name in self._types)
        loose = (
            f"regexp_matches(raw, {literal(LOOSE_COMMA)}) and regexp_matches("
            f"regexp_replace(raw, {literal(TEXT_IN_JSON)}, '', 'g'), {literal(LOOSE_COMMA)})"
        )
        self._connection.execute(
            "create or replace temp table checked as select place, raw, keys, case "
            "when kind is null then 'no JSON' when kind <> 'OBJECT' then 'no object' "
            f"when {loose} then 'no JSON' "
            "when len(keys) <> list_unique(keys) then 'twice' "
            f"when not list_has_all([{known}], keys) then 'unknown' end as fault from ("
            "select *, case when kind = 'OBJECT' then json_keys(raw) end as keys from ("
            "select *, case when json_valid(raw) then json_type(raw) end as kind from messages))"
        )
        wrong = self._connection.execute(
            "select place, raw, keys, fault from checked where fault is not null"
        ).fetchall()
        return [BadRow(p, self._fault(raw, keys, fault)) for p, raw, keys, fault in wrong]

    def _fault(self, raw: str, keys: list[str], fault: str) -> str:
        if fault == "no JSON":
            try:
                json.loads(raw)
            except json.JSONDecodeError as error:
                return f"it is not JSON: {error}"
            except RecursionError:
                return "it is nested too deeply"
            return "it is not JSON: a half character, or a comma before a closing bracket"
        if fault == "no object":
            return f"{raw[:40]!r} is not a JSON object: {_NO_ROW}"
        if fault == "twice":
            return f"the object has the key {next(k for k in keys if keys.count(k) > 1)!r} twice"
        return f"the table has no column {next(k for k in keys if k not in self._types)!r}"

    def _take_rows(self) -> list[BadRow]:
        """Fill ``rows`` with each object's values, and whether all of them fit."""
        pointers = ", ".join(
            literal("/" + n.replace("~", "~0").replace("/", "~1")) for n in self._types
        )
        columns = ", ".join(f"found[{n}] as {quoted(k)}" for n, k in enumerate(self._types, 1))
        self._connection.execute(
            f"create or replace temp table objects as select place as forebay_place, {columns}, "
            f"raw as {RAW} from (select place, raw, json_extract(raw, [{pointers}]) as found "
            "from checked where fault is null)"
        )
        values = ", ".join(f"{value} as {quoted(n)}" for n, value in self._values.items())
        fits = " and ".join(f"coalesce({t}, false)" for t in self._tests.values()) or "true"
        self._connection.execute(
            f"create or replace temp table rows as select forebay_place, {values}, "
            f"({fits}) as forebay_fits from objects"
        )
        return [
            BadRow(place, self._misfit(place))
            for (place,) in self._connection.execute(
                "select forebay_place from rows where not forebay_fits"
            ).fetchall()
        ]

    def _misfit(self, place: int) -> str:
        """Name the value of an object that does not fit, and why."""
        tests = ", ".join(self._tests.values())
        found = self._connection.execute(
            f"select [{tests}] from objects where forebay_place = {place}"
        ).fetchall()[0][0]
        name = next(n for n, fits in zip(self._tests, found, strict=True) if not fits)
        shown = self._connection.execute(
            f"select {quoted(name)}::varchar from objects where forebay_place = {place}"
        ).fetchall()[0][0]
        if name in self._required and shown in (None, "null"):
            shown = None
        return explain_value(self._source, name, shown, self._types[name], None)[0]

    def _rows(self) -> tuple[pa.Table, list[int], list[BadRow]]:
        names = ", ".join(map(quoted, self._types))
        read = self._connection.sql(
            f"select forebay_place, {names} from rows where forebay_fits order by forebay_place"
        ).to_arrow_table()
        places, rows = read.column(0).to_pylist(), read.drop_columns(["forebay_place"])
        try:
            return self._fit(rows), places, []
        except pa.ArrowInvalid:
            pass
        kept: list[int] = []
        bad: list[BadRow] = []
        for number, place in enumerate(places):
            try:
                # A slice of a list is still cast with the rows around it: take the row out.
                self._fit(rows.take([number]))
                kept.append(number)
            except pa.ArrowInvalid as error:
                bad.append(BadRow(place, f"the table does not hold it: {first_line(error)}"))
        return self._fit(rows.take(kept)), [places[n] for n in kept], bad

    def _fit(self, rows: pa.Table) -> pa.Table:
        cast = [batch.cast(self._schema) for batch in rows.to_batches()]
        return pa.Table.from_batches(cast, self._schema)

    @cached_property
    def _source(self) -> Source:
        return Source(Path("message"), "objects", dict.fromkeys(self._types, JSON), str, raw=RAW)

    @cached_property
    def _values(self) -> dict[str, str]:
        readings = read_columns(self._source, self._types, timezone=None)
        values = {name: reading.value for name, reading in readings.items()}
        for name, kind in self._types.items():
            if kind == "UUID":
                values[name] = f"unhex(replace({values[name]}::varchar, '-', ''))"
        return values

    @cached_property
    def _tests(self) -> dict[str, str]:
        readings = read_columns(self._source, self._types, timezone=None)
        tests = {n: f"({r.fits})" for n, r in readings.items() if r.fits is not None}
        for name in self._required:
            tests[name] = f"({tests.get(name, 'true')} and {readings[name].value} is not null)"
        return tests
