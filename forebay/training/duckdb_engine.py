"""Training sets on the embedded DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import duckdb
import pyarrow as pa

from feature_specs.catalog import Catalog
from feature_specs.errors import DataError, ForebayError, first_line
from feature_specs.library_errors import explain_text
from feature_specs.progress import Share
from feature_specs.quote import quoted
from forebay.compilation.current_service import CompiledService
from forebay.training.copy_to_parquet import copy_to_parquet
from forebay.training.engine import SpineFile, SpineQuery, SpineReading
from forebay.training.exact_columns import arrow_select
from forebay.training.write_statement import filled
from lakehouse.check_spine import earliest_instant
from lakehouse.data_files.find_unreadable import find_unreadable
from lakehouse.ingest.spine import Spine, read_spine, read_spine_query
from lakehouse.relations import connect, define_named, define_relations, tune
from lakehouse.scan import Pinned
from lakehouse.watch_query import watch_query


class DuckDBEngine:
    """Reads the lake's files in this process. Each engine has a DuckDB of its own, in memory."""

    name = "duckdb"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._connection = connect(catalog)
        self._read: tuple[Pinned, ...] = ()
        self.spine_tables: Mapping[str, Pinned] = {}
        self._running: list[duckdb.DuckDBPyConnection] = [self._connection]

    def load_spine(self, source: SpineFile | SpineQuery, reading: SpineReading) -> Spine:
        if isinstance(source, SpineQuery):
            self.spine_tables = define_named(self._connection, self._catalog, source.sql)
            return read_spine_query(self._connection, source.sql, **asdict(reading), numbered=True)
        numbered = not source.numbered
        return read_spine(self._connection, source.path, **asdict(reading), numbered=numbered)

    def count_rows(self, spine: Spine, needed: set[str]) -> tuple[int, int]:
        nulls = " or ".join(f"{quoted(name)} is null" for name in sorted(needed)) or "false"
        rows, lost = self._one_row(
            f"select count(*), count(*) filter (where {nulls}) from ({spine.sql})"
        )
        return rows, lost

    def earliest(self, spine: Spine) -> int | None:
        return earliest_instant(self._connection, f"({spine.sql})", spine.timestamp)

    def statement(
        self, compiled: CompiledService, spine: Spine, lag_us: int, pinned: Mapping[str, Pinned]
    ) -> str:
        define_relations(self._connection, pinned)
        self._read = tuple(pinned.values())
        sql = filled(compiled.template, f"({spine.sql})", spine.timestamp, lag_us)
        if not spine.row:
            return sql
        return f"select * exclude ({spine.row}) from (\n{sql}\n) as made order by {spine.row}"

    def table_statement(self, table: Pinned) -> tuple[str, int]:
        """SQL of a table's rows, and how many there are."""
        sql = self.whole_table(table)
        (rows,) = self._one_row(f"select count(*) from ({table.sql})")
        return sql, rows

    def whole_table(self, table: Pinned) -> str:
        """SQL of a table's rows, in the one order that their values give."""
        self._read = (table,)
        return f"select * from ({table.sql}) as built order by all"

    def column_types(self, sql: str) -> dict[str, str]:
        described = self._connection.execute(f"describe {sql}").fetchall()
        return {name: kind for name, kind, *_ in described}

    def schema(self, sql: str) -> pa.Schema:
        chosen = arrow_select(self.column_types(sql))
        none = f"select {chosen} from ({sql}) limit 0"
        cursor = self._cursor()
        try:
            found: pa.Schema = cursor.sql(none).to_arrow_reader().schema
        finally:
            cursor.close()
        return found

    def in_order(self, sql: str, columns: Sequence[str], by: str) -> str:
        listed = ", ".join(map(quoted, columns))
        return f"select {listed} from ({sql}) order by {quoted(by)}"

    def batches(self, sql: str, rows: int, report: Share | None) -> Iterator[pa.RecordBatch]:
        cursor = self._cursor()
        self._running.append(cursor)
        try:
            chosen = arrow_select(self.column_types(sql))
            with watch_query(cursor, report) if report else nullcontext():
                found = cursor.sql(f"select {chosen} from ({sql})")
                reader: pa.RecordBatchReader = found.to_arrow_reader(rows)
                yield from reader
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise self._explained(error) from None
        finally:
            self._running.remove(cursor)
            cursor.close()

    def write_parquet(
        self, sql: str, out: Path, metadata: Mapping[str, str], report: Share | None
    ) -> None:
        copy_to_parquet(self._connection, sql, out, metadata, report, self._read)

    def use_threads(self, threads: int) -> None:
        self._connection.execute(f"set threads = {threads}")

    def cancel(self) -> None:
        for connection in self._running:
            connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        tune(cursor)
        return cursor

    def _one_row(self, sql: str) -> tuple[int, ...]:
        found = self._connection.execute(sql).fetchone()
        assert found is not None
        return tuple(map(int, found))

    def _explained(self, error: Exception) -> ForebayError:
        """What a statement failed of; through Arrow's reader DuckDB's errors come as Arrow's own."""
        lost = isinstance(error, duckdb.Error) and find_unreadable(
            self._connection, error, self._read
        )
        return (
            lost
            or explain_text(str(error))
            or DataError(first_line(error), where="training set", hint="fix the rows or the query")
        )
