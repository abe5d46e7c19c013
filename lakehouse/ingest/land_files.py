"""Commit many files at once, each exactly once, under concurrent writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.types import FixedType

from feature_specs.errors import DataError
from lakehouse.commit import (
    TABLE_PROPERTIES,
    Mode,
    OvertakenError,
    commit_patiently,
    ensure_namespace,
    fit_columns,
    uncertain_errors,
)
from lakehouse.data_files.infinite_times import without_bounds
from lakehouse.ingest.loaded_files import LOADED, dumps, loaded_files, next_sequence
from lakehouse.ingest.read_rows import Reading
from lakehouse.lake import find_table
from lakehouse.layout import Layout, apply_layout, partitions_of, sort_terms
from lakehouse.pyiceberg_internals import SteadyTransaction, changed_table
from lakehouse.row_stream import write_stream
from lakehouse.watch_query import watch_query
from lakehouse.write_partitions import write_partitions
from lakehouse.write_rows import may_copy_columns, stage_files, write_file


def _steady(table: Table) -> SteadyTransaction:
    """A transaction that fails where another writer commits rows, or changes columns, before it."""
    transaction = SteadyTransaction(table)
    transaction.require_layout()
    return transaction


@dataclass
class UncommittedFiles:
    """Data files that no commit references yet, and the table they were written for.

    Attributes:
        base: the table as it was; None where there was none.
        layout: of the table from now on; an empty one leaves it as it is.
        files: by the file whose rows they have.
    """

    catalog: Catalog
    identifier: str
    base: Table | None
    layout: Layout = field(default_factory=Layout)
    files: dict[Path, list[DataFile]] = field(default_factory=dict)
    _transaction: Transaction | None = None
    _bare: dict[str, str] = field(default_factory=dict)  # properties without which no row fits
    _tried: set[int] = field(default_factory=set)
    _unknown: bool = False

    @property
    def table(self) -> Table | None:
        """The table, with the columns that it has by now."""
        return self.base if self._transaction is None else changed_table(self._transaction)

    def fit(self, wanted: pa.Schema, change: Callable[[UpdateSchema], None] | None) -> None:
        """Make the table where there is none, and its columns those of the rows."""
        if self._transaction is None:
            self._transaction = self._begin(wanted)
            if change is not None:
                with self._transaction.update_schema() as update:
                    change(update)
        fit_columns(self._transaction, wanted, "add")
        apply_layout(self._transaction, self.layout)

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        reading: Reading,
        report: Callable[[int], None],
    ) -> None:
        """Write a file's rows, by DuckDB where it spells all types as Iceberg does, else by Arrow.

        Args:
            report: called with how many rows were written, as they are.
        """
        assert self._transaction is not None
        table = changed_table(self._transaction)
        schema, sort = table.schema(), sort_terms(table.metadata)
        if sort:
            by = f"order by {', '.join(sort)}"
            ordered = [f"select * from ({s}) {by}" for s in (reading.sql, reading.arrow_sql)]
            reading = replace(reading, sql=ordered[0], arrow_sql=ordered[1])
        fixed = any(isinstance(f.field_type, FixedType) for f in schema.fields)
        partitions = partitions_of(table.spec(), schema)
        copied = not fixed and may_copy_columns(table, reading.types(connection))
        if not copied or partitions is None:
            written = self._write_stream(connection, reading, report)
        else:
            with watch_query(connection, lambda share: report(round(share * reading.rows))):
                written = (
                    write_partitions(connection, table, reading.sql, partitions, sort)
                    if partitions
                    else write_file(connection, table, reading.sql)
                )
        self.files[path] = [f for f in written if f.record_count]
        self._remove(f for f in written if not f.record_count)

    def land(self, mode: Mode, digests: Mapping[Path, str], *, again: bool) -> Table:
        """Commit the files, except those that another process has loaded meanwhile.

        The commit is a compare-and-set on the table's head, so that the record of what is loaded
        and the rows are never apart. Files that are left out are taken out of ``files``.

        Raises:
            OvertakenError: the table's columns are others now: the rows have to be read again.
        """
        assert self._transaction is not None
        begun: list[tuple[Table | None, Transaction]] = [(self.base, self._transaction)]

        def attempt() -> Table:
            table, transaction = begun.pop() if begun else (None, None)
            if transaction is None:
                table = find_table(self.catalog, self.identifier)
                if table is not None and any(
                    table.snapshot_by_id(i) is not None for i in self._tried
                ):
                    return table  # a try that was reported as failed had landed
                transaction = self._begin_again(table)
            known = {} if mode == "replace" else loaded_files(table)
            if not again:
                self._leave_out(path for path in digests if digests[path] in known)
            if not self.files and table is not None:
                return table
            return self._try(transaction, mode, known, digests)

        return commit_patiently(attempt, self._give_up)

    def forget(self) -> None:
        """Delete the written files, unless a commit may refer to them, or may yet."""
        for path in list(self.files):
            files = self.files.pop(path)
            if not self._unknown:
                self._remove(files)

    def _begin(self, wanted: pa.Schema) -> Transaction:
        if self.base is not None:
            return _steady(self.base)
        if self.identifier.count(".") != 1:
            raise DataError(
                f"a new table needs one namespace, and {self.identifier!r} has "
                f"{self.identifier.count('.')}",
                where=f"table {self.identifier}",
                hint="name it namespace.table",
            )
        ensure_namespace(self.catalog, self.identifier)
        return self.catalog.create_table_transaction(
            self.identifier, schema=wanted, properties=TABLE_PROPERTIES
        )

    def _write_stream(
        self,
        connection: duckdb.DuckDBPyConnection,
        reading: Reading,
        report: Callable[[int], None],
    ) -> list[DataFile]:
        assert self._transaction is not None
        rows = reading.stream(connection, report)
        try:
            return write_stream(self._transaction, rows)
        except OverflowError:
            self._bare |= without_bounds(rows.schema)
            self._transaction.set_properties(self._bare)
            return write_stream(self._transaction, rows)

    def _try(
        self,
        transaction: Transaction,
        mode: Mode,
        known: Mapping[str, int],
        digests: Mapping[Path, str],
    ) -> Table:
        table = changed_table(transaction)
        loaded = dumps(known, (digests[path] for path in self.files), next_sequence(table))
        written = [file for files in self.files.values() for file in files]
        try:
            snapshot = stage_files(transaction, table, written, mode)
            transaction.set_properties({LOADED: loaded})
        except BaseException:
            if not self._tried:
                self.forget()  # nothing was committed, such as on a disk that is full
            raise
        self._tried.add(snapshot)
        try:
            transaction.commit_transaction()
        except uncertain_errors():
            self._unknown = True
            raise
        found = find_table(self.catalog, self.identifier)
        assert found is not None
        return found

    def _begin_again(self, table: Table | None) -> Transaction:
        """The same changes on the table as another writer has left it.

        Raises:
            OvertakenError: the rows have to be read again for it.
        """
        if table is None or not self._still_fits(table):
            raise OvertakenError
        transaction = _steady(table)
        apply_layout(transaction, self.layout)
        if self._bare:
            transaction.set_properties(self._bare)
        return transaction

    def _still_fits(self, table: Table | None) -> bool:
        """Whether the files are right for a table as it is now, as they are."""
        if table is None or self.base is None or self._transaction is None:
            return False
        was, now, mine = self.base.metadata, table.metadata, self._transaction.table_metadata
        return (
            now.table_uuid == was.table_uuid
            and now.location == was.location
            and now.current_schema_id == was.current_schema_id == mine.current_schema_id
            and now.default_spec_id == was.default_spec_id == mine.default_spec_id
        )

    def _leave_out(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._remove(self.files.pop(path, []))

    def _remove(self, files: Iterable[DataFile]) -> None:
        assert self._transaction is not None
        io = changed_table(self._transaction).io
        for file in files:
            io.delete(file.file_path)

    def _give_up(self) -> DataError:
        self.forget()
        return self.no_luck()

    def no_luck(self) -> DataError:
        """The error after too many lost races with other writers."""
        return DataError(
            "other writers committed first each time",
            where=f"table {self.identifier}",
            hint="run it again once they are done; nothing was written",
        )
