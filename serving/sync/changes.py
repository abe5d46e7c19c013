"""What a view's log gained since the store was last written, and applying it.

The log is append-only and its commits are numbered, so a position in it says what a store has seen,
whatever instants the builds were of. Of several rows of a key the last commit's counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import Self

import duckdb
from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.quote import quoted
from lakehouse.data_files.select_rows import select_rows
from lakehouse.lake import find_table, open_lake, read_state
from lakehouse.scan import added_files
from serving.offline import FeatureTable, check_has_columns, open_feature_table
from serving.state import ViewState
from serving.stores import OnlineStore, StoredView
from serving.sync.encode import encoding, read_batches
from serving.sync.report import SyncReport
from serving.sync.row_sql import RowSql

#: The position before a log's first commit.
_BEGINNING = -1
#: A build commits the log first and the table some milliseconds later.
_TRIES, _PAUSE_S = 3, 0.1
#: Up to so many changes are applied whatever the size of the table.
_FEW = 100_000
#: Columns beside those of the log.
_DELETED, _COMMIT = "forebay_deleted", "forebay_commit"


@dataclass(frozen=True)
class Logged:
    """A feature table, and its log at the same state.

    Attributes:
        log: None where there is none, or none that stands where the table does.
    """

    table: FeatureTable
    log: Table | None

    @property
    def position(self) -> int | None:
        """Where in the log the table's rows stand; None where it is not known."""
        if self.log is None:
            return None
        current = self.log.current_snapshot()
        return _BEGINNING if current is None else current.snapshot_id


def open_logged(catalog: Catalog, view: ViewEntry) -> Logged:
    """The view's feature table with its log. Raises ForebayError as `open_feature_table` does."""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_S)
        log = find_table(open_lake(catalog.lake), view.history_table)
        table = open_feature_table(catalog, view)
        if log is None:
            break
        if read_state(log) == table.state:
            return Logged(table, log)
    return Logged(table, None)


def apply_changes(
    store: OnlineStore, logged: Logged, raw: bytes, known: ViewState, dry_run: bool
) -> SyncReport | None:
    """Apply what changed since ``known``, which ``raw`` holds as the store does.

    None where that is not known, or is so much that writing everything takes less.

    Raises:
        DataError: a column is missing, or a value cannot be stored; the store is as it was.
        OvertakenError: another writer has changed the view since.
    """
    table, entries = logged.table, _entries_since(logged, known)
    if entries is None or logged.log is None:
        return None
    view, sql = StoredView.of(table.view), RowSql(table.view)
    with encoding(sql) as connection:
        changes = _Changes.collect(connection, sql, logged.log, entries)
        if changes is None or (changes.count > _FEW and changes.count > table.count() // 3):
            return None
        new = changes.upserts - _count_present(store, view, changes.keys(deleted=False))
        removed = _count_present(store, view, changes.keys(deleted=True))
        state = table.state_with(known.rows + new - removed, logged.position)
        if not dry_run:
            deletes = (key for keys in changes.keys(deleted=True) for key in keys)
            store.write(view, changes, deletes, state.dumps(), replace=False, after=raw)
    return SyncReport(
        table.view.name,
        "changed" if changes.upserts or removed else "unchanged",
        changes.upserts,
        removed,
        changes.null_keys,
        state.rows,
        table.state.at,
    )


def _entries_since(logged: Logged, known: ViewState) -> Sequence[ManifestEntry] | None:
    """The log's files since ``known``; None where they are not known."""
    if logged.log is None or known.log is None:
        return None
    since = None if known.log == _BEGINNING else known.log
    current = logged.log.current_snapshot()
    return added_files(logged.log, since, None if current is None else current.snapshot_id)


@dataclass(frozen=True)
class _Changes:
    """The last change of each key, encoded, in a temporary table of ``connection``.

    Iterating gives the (key, row) pairs to write, in the order of their keys; again each time.
    """

    connection: duckdb.DuckDBPyConnection
    upserts: int
    deletes: int
    null_keys: int

    @classmethod
    def collect(
        cls,
        connection: duckdb.DuckDBPyConnection,
        sql: RowSql,
        log: Table,
        entries: Sequence[ManifestEntry],
    ) -> Self | None:
        """None where two rows of one commit are of one key."""
        if not entries:
            connection.execute("create temp table changes (k blob, r blob)")
            return cls(connection, 0, 0, 0)
        source = _log_rows(log, sql, entries)
        keys = ", ".join(map(quoted, sql.view.keys))
        connection.execute(
            f"create temp table changes as select {sql.key} as k, "
            f"case when not {_DELETED} then {sql.row} end as r from ({source}) where {sql.whole} "
            f"qualify rank() over (partition by {keys} order by {_COMMIT} desc, "
            "computed_at desc) = 1"
        )
        ((upserts, deletes, distinct),) = connection.execute(
            "select count(r), count(*) - count(r), count(distinct k) from changes"
        ).fetchall()
        ((null_keys,),) = connection.execute(
            f"select count(*) filter (where not ({sql.whole})) from ({source})"
        ).fetchall()
        if upserts + deletes != distinct:
            return None
        return cls(connection, upserts, deletes, null_keys)

    @property
    def count(self) -> int:
        return self.upserts + self.deletes

    def keys(self, *, deleted: bool) -> Iterator[list[bytes]]:
        """The keys to write, or those to remove, some thousand at a time."""
        wanted = "null" if deleted else "not null"
        select = f"select k from changes where r is {wanted} order by k"
        return (keys for (keys,) in read_batches(self.connection, select))

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        select = "select k, r from changes where r is not null order by k"
        batches = read_batches(self.connection, select)
        return chain.from_iterable(zip(keys, rows, strict=True) for keys, rows in batches)


def _log_rows(log: Table, sql: RowSql, entries: Sequence[ManifestEntry]) -> str:
    """A SELECT of rows of the log, with the number of the commit that each came with."""
    wanted = (*sql.columns, "computed_at")
    check_has_columns(log, sql.view, (*wanted, "deleted"))
    columns = ", ".join(map(quoted, wanted))
    numbered = sorted((entry.sequence_number or 0, place) for place, entry in enumerate(entries))
    return " union all ".join(
        f"select {columns}, deleted is true as {_DELETED}, {number} as {_COMMIT} from "
        f"({select_rows(log, [entries[place] for _, place in group])})"
        for number, group in groupby(numbered, key=itemgetter(0))
    )


def _count_present(store: OnlineStore, view: StoredView, batches: Iterable[list[bytes]]) -> int:
    return sum(
        row is not None for keys in batches for row in store.get_many({view: keys})[view.name].rows
    )
