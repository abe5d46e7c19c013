"""The offline side of a view as sync and verify read it: one version of its Iceberg table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyiceberg.table import Table
from pyiceberg.types import TimestamptzType

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.library_errors import explain_one, known_errors
from lakehouse.lake import FeatureState, find_table, open_lake, read_state

BUILD = "run `forebay build`"
_BATCH = 65_536


@dataclass(frozen=True)
class FeatureTable:
    """A built feature table at one version, with the state that its last commit left."""

    view: ViewEntry
    table: Table
    state: FeatureState

    @property
    def snapshot(self) -> int | None:
        current = self.table.current_snapshot()
        return None if current is None else current.snapshot_id

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows, in batches of at most 65,536. Raises DataError where a column is missing."""
        require_columns(self.table, self.view, columns)
        yield from _split(self.table.scan(selected_fields=tuple(columns)).to_arrow_batch_reader())

    def count(self) -> int:
        return int(self.table.scan().count())


def open_feature_table(catalog: Catalog, view: ViewEntry) -> FeatureTable:
    """The view's feature table.

    Raises:
        ForebayError: it was never built, or built from another query than the compiled one.
    """
    table = find_table(open_lake(catalog.lake), view.table)
    state = read_state(table)
    if table is None or state is None:
        raise ForebayError(
            f"feature view {view.name!r} is not built yet: no table {view.table}",
            where=view.name,
            mend=BUILD,
        )
    if state.semantic_hash != view.semantic_hash:
        raise ForebayError(
            f"feature view {view.name!r} has changed since {view.table} was built",
            where=view.name,
            mend=BUILD,
        )
    return FeatureTable(view, table, state)


def open_feature_tables(
    catalog: Catalog, views: Sequence[ViewEntry]
) -> tuple[dict[str, FeatureTable], dict[str, ForebayError]]:
    """The views' feature tables by name, and why those that cannot be read cannot."""
    tables: dict[str, FeatureTable] = {}
    failed: dict[str, ForebayError] = {}
    for view in views:
        try:
            tables[view.name] = open_feature_table(catalog, view)
        except known_errors() as error:
            failed[view.name] = explain_one(error)
    return tables, failed


def read_changes(
    catalog: Catalog, view: ViewEntry, after: int, until: int, columns: Sequence[str]
) -> pa.Table | None:
    """Rows of the view's history with computed_at in (after, until], oldest first.

    Args:
        after, until: microseconds since the epoch.

    Returns:
        None where there is no history that reaches ``until``, so the changes are not known.
    """
    history = find_table(open_lake(catalog.lake), view.history_table)
    if history is None:
        return None
    state = read_state(history)
    if state is not None and state.at < until:
        return None
    wanted = (*columns, "computed_at", "deleted")
    require_columns(history, view, wanted)
    zoned = isinstance(history.schema().find_field("computed_at").field_type, TimestamptzType)
    span = f"computed_at > '{_instant(after, zoned)}' and computed_at <= '{_instant(until, zoned)}'"
    rows = history.scan(row_filter=span, selected_fields=wanted).to_arrow()
    return rows.sort_by("computed_at")


def require_columns(table: Table, view: ViewEntry, columns: Sequence[str]) -> None:
    """Raises DataError unless the table has the columns."""
    known = {field.name for field in table.schema().fields}
    missing = [name for name in columns if name not in known]
    if missing:
        raise DataError(
            f"table {'.'.join(table.name())} has no column {missing[0]!r}",
            where=view.name,
            mend=BUILD,
        )


def _instant(us: int, zoned: bool) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    text = moment.isoformat(timespec="microseconds")
    return text if zoned else text.removesuffix("+00:00")


def _split(batches: Any) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            yield batch.slice(start, _BATCH)
