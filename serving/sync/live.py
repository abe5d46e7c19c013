"""Writing to the online store what a stream has computed ahead of the feature tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain

import duckdb
import pyarrow as pa

from feature_specs.catalog import ViewEntry
from feature_specs.instants import epoch_us
from serving.state import ViewState, keys_of
from serving.stores import OnlineStore, StoredView
from serving.sync.encode import read_batches
from serving.sync.row_sql import RowSql


class LiveWriter:
    """Keeps one view's rows in the store at the (D, T) that it is told.

    The first write replaces all rows. Each later one builds on what this writer wrote last, and fails
    where anybody else has written since.
    """

    def __init__(self, store: OnlineStore, view: ViewEntry) -> None:
        self._store, self._view = store, view
        self._stored, self._sql = StoredView.of(view), RowSql(view)
        self._written: bytes | None = None

    def write(
        self,
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        *,
        at: datetime,
        rows: int,
        leaves: Mapping[str, int | None],
    ) -> None:
        """Write the rows of ``relation``: all of the view the first time, then those that changed.

        Args:
            connection: which has the relation; of changes it has a column ``deleted``.
            rows: how many the view has then.
            leaves: D, the snapshot of each leaf.

        Raises:
            OvertakenError: another writer has changed the view since; write all of it anew.
            DataError: a value cannot be stored.
        """
        keys = keys_of(self._view)
        state = ViewState(
            epoch_us(at), self._view.semantic_hash, rows, leaves=dict(leaves), keys=keys
        ).dumps()
        first = self._written is None
        deleted = "false" if first else "deleted"
        select = (
            f"select {self._sql.key} as k, case when not {deleted} then {self._sql.row} end as r "
            f"from {relation} where {self._sql.whole}" + (" order by k" if first else "")
        )
        try:
            self._store.write(
                self._stored,
                chain.from_iterable(_upserts(connection, select)),
                _deletes(connection, self._sql, relation, first),
                state,
                replace=first,
                after=self._written,
            )
        except (duckdb.Error, pa.ArrowException) as error:
            refused = self._sql.refusal(error)
            if refused is None:
                raise
            raise refused from error
        self._written = state


def _upserts(
    connection: duckdb.DuckDBPyConnection, select: str
) -> Iterator[Iterable[tuple[bytes, bytes]]]:
    for keys, rows in read_batches(connection, f"select * from ({select}) where r is not null"):
        yield zip(keys, rows, strict=True)


def _deletes(
    connection: duckdb.DuckDBPyConnection, sql: RowSql, relation: str, first: bool
) -> list[bytes]:
    if first:
        return []
    select = f"select {sql.key} as k from {relation} where deleted and {sql.whole}"
    return [key for (keys,) in read_batches(connection, select) for key in keys]
