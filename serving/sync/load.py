"""Write all rows of a feature table in place of those that the store has.

The rows are read in the order of their keys, so that a store with sorted pages fills them by
appending. A load that is killed starts over: what it read, encoded and sorted is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from feature_specs.progress import Progress
from lakehouse.scan import pin
from serving.offline import FeatureTable, check_has_columns
from serving.stores import OnlineStore, StoredView
from serving.sync.encode import encoding, read_batches
from serving.sync.report import SyncReport
from serving.sync.row_sql import RowSql


def replace_rows(
    store: OnlineStore | None, table: FeatureTable, log: int | None, progress: Progress | None
) -> SyncReport:
    """Write the table's rows, and the state with them.

    Args:
        store: None only counts what would be written.
        log: the position in the view's log that the rows stand at; None where it is not known.

    Raises:
        DataError: a column is missing, or a value cannot be stored; the store is as it was.
    """
    view, sql = table.view, RowSql(table.view)
    check_has_columns(table.table, view, sql.columns)
    source = pin(table.table).sql
    with encoding(sql) as connection:
        ((total, whole),) = connection.execute(
            f"select count(*), count(*) filter (where {sql.whole}) from ({source})"
        ).fetchall()

        def batches() -> Iterator[Iterable[tuple[bytes, bytes]]]:
            done = 0
            select = f"select {sql.key} as k, {sql.row} as r from ({source}) where {sql.whole}"
            for keys, values in read_batches(connection, f"{select} order by k"):
                yield zip(keys, values, strict=True)
                done += len(keys)
                if progress is not None:
                    progress(view.name, done, whole)

        if store is not None:
            state = table.state_with(whole, log).dumps()
            rows = chain.from_iterable(batches())
            store.write(StoredView.of(view), rows, (), state, replace=True)
    return SyncReport(view.name, "replaced", whole, 0, total - whole, whole, table.state.at)
