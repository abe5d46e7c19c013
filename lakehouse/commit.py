"""Write an Arrow table to Iceberg in one commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    TableAlreadyExistsError,
    ValidationError,
)
from pyiceberg.table import Table, Transaction

from feature_specs.errors import DataError
from lakehouse.data_files.infinite_times import without_bounds
from lakehouse.lake import catalog_errors, find_table
from lakehouse.pyiceberg_internals import SteadyTransaction
from lakehouse.row_stream import RowStream, append_stream

Mode = Literal["append", "replace"]

#: Whether a commit may change a table's columns: not at all, only add to them, or make them those
#: of the rows.
Columns = Literal["fixed", "add", "exact"]

#: Properties of a table that we create. DuckDB reads one row group a thread, so pyiceberg's
#: default of a million rows a group would leave all but one thread idle. Small manifests, merged
#: early, let a step read one for each end of its windows.
TABLE_PROPERTIES = {
    "write.parquet.row-group-limit": "65536",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.target-size-bytes": "16384",
    "commit.manifest.min-count-to-merge": "4",
}

_TRIES = 5

#: How long a commit is tried again where others are quicker, or the catalog is locked, in seconds.
PATIENCE_S = 60.0
#: Seconds between two tries.
PAUSE_S = 0.05

_Made = TypeVar("_Made")


def uncertain_errors() -> tuple[type[Exception], ...]:
    """Errors after which a commit may have landed, or may still land."""
    return (CommitStateUnknownException, *catalog_errors())


def commit_patiently(
    attempt: Callable[[], _Made],
    no_luck: Callable[[], DataError],
    wait: Callable[[float], None] = time.sleep,
) -> _Made:
    """Call what looks at a table and commits to it, until that succeeds or a minute has passed.

    Where another writer came first it is called again at once; where the catalog does not answer,
    after a pause. It has to see by itself whether an earlier call has landed.

    Args:
        no_luck: the error once other writers came first each time.
        wait: called with the seconds between calls.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except (CommitFailedException, TableAlreadyExistsError):
            if time.monotonic() > deadline:
                raise no_luck() from None
        except uncertain_errors():
            if time.monotonic() > deadline:
                raise
            wait(PAUSE_S)


class OvertakenError(Exception):
    """Another writer committed to the table after it was read."""


@dataclass(frozen=True)
class BeforeCommit:
    """The table that rows were computed from; None if there was none."""

    table: Table | None


def commit_rows(
    catalog: Catalog,
    identifier: str,
    rows: pa.Table | RowStream,
    *,
    mode: Mode,
    columns: Columns = "fixed",
    properties: Mapping[str, str] | None = None,
    retyped: Sequence[str] = (),
    base: BeforeCommit | None = None,
) -> Table:
    """Append rows to a table, or make them its whole content, in one commit.

    The table and its namespace are created when missing. A reader, or a process killed half way,
    sees the table as it was before or as it is after: data files are written first and only the
    catalog's last update names them. Table properties go into the same commit.

    Args:
        catalog: where the table is.
        identifier: dotted name of the table.
        rows: what to write; fields that are not nullable become required columns.
        mode: ``append`` or ``replace``.
        columns: whether the table may gain columns, or lose those that the rows lack.
        properties: table properties to set.
        retyped: columns of other types now; each is a new column under the old name.
        base: the table from which the rows were computed. No other commit may come between.

    Raises:
        OvertakenError: one came between.
        DataError: a column has changed its type, or other writers won every one of the tries.
    """
    given = dict(properties or {})
    for _ in range(_TRIES):
        try:
            table = find_table(catalog, identifier) if base is None else base.table
            if table is None:
                return _create(catalog, identifier, rows, given)
            made = table.transaction() if base is None else SteadyTransaction(table)
            return _write(table, made, rows, mode, columns, given, retyped)
        except (CommitFailedException, TableAlreadyExistsError):
            if base is not None:
                raise OvertakenError from None
            continue
        except OverflowError:
            given |= without_bounds(rows.schema)
    raise DataError(
        f"other writers committed first, {_TRIES} times in a row",
        where=f"table {identifier}",
        hint="run it again once they are done",
    )


def ensure_namespace(catalog: Catalog, identifier: str) -> None:
    """Create the namespace of a table; another thread or process may do so at the same time."""
    namespace = identifier.rpartition(".")[0]
    try:
        catalog.create_namespace(namespace)
    except NamespaceAlreadyExistsError:
        return
    except catalog_errors():
        # pyiceberg looks first and inserts after, so of two that create it one fails to insert.
        if not catalog.namespace_exists(namespace):
            raise


def _create(
    catalog: Catalog, identifier: str, rows: pa.Table | RowStream, properties: Mapping[str, str]
) -> Table:
    if identifier.count(".") != 1:
        raise DataError(
            f"a new table needs one namespace, and {identifier!r} has {identifier.count('.')}",
            where=f"table {identifier}",
            hint="name it namespace.table",
        )
    ensure_namespace(catalog, identifier)
    creation = catalog.create_table_transaction(
        identifier, schema=rows.schema, properties={**TABLE_PROPERTIES, **properties}
    )
    with creation as transaction:
        if isinstance(rows, RowStream):
            append_stream(transaction, rows, replace=False)
        else:
            transaction.append(rows)
    return catalog.load_table(identifier)


def _write(
    table: Table,
    made: Transaction,
    rows: pa.Table | RowStream,
    mode: Mode,
    columns: Columns,
    properties: Mapping[str, str],
    retyped: Sequence[str],
) -> Table:
    adds = mode == "append" or table.current_snapshot() is None
    with made as transaction:
        if retyped:
            with transaction.update_schema() as update:
                for name in retyped:
                    update.delete_column(name)
        if columns != "fixed":
            fit_columns(transaction, rows.schema, columns)
        if properties:
            transaction.set_properties(dict(properties))
        if isinstance(rows, RowStream):
            append_stream(transaction, rows, replace=not adds)
        elif adds:
            transaction.append(rows)
        else:
            transaction.overwrite(rows)
    return table


def fit_columns(transaction: Transaction, wanted: pa.Schema, columns: Columns) -> None:
    """Give a table the columns of rows, within a transaction; ``exact`` also takes others away.

    Raises:
        DataError: a column has changed its type in a way that Iceberg cannot follow.
    """
    known = {field.name for field in transaction.table_metadata.schema().fields}
    surplus = known - set(wanted.names) if columns == "exact" else set()
    try:
        with transaction.update_schema() as change:
            change.union_by_name(wanted)
            for name in sorted(surplus):
                change.delete_column(name)
        if columns == "exact":
            _put_in_order(transaction, wanted.names)
    except (ValidationError, ValueError) as error:
        raise DataError(
            f"a column has changed its type, which its table cannot follow: {error}",
            where="table columns",
            hint="write a new version of the model (dbt's `versions:`), or cast to the old type",
        ) from None


def _put_in_order(transaction: Transaction, names: Sequence[str]) -> None:
    if [field.name for field in transaction.table_metadata.schema().fields] == list(names):
        return
    with transaction.update_schema() as change:
        change.move_first(names[0])
        for before, name in pairwise(names):
            change.move_after(name, before)
