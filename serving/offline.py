"""The offline side of a view as sync and verify read it: one version of its Iceberg table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.table import Table

from feature_specs.catalog import Catalog, ViewEntry
from feature_specs.errors import DataError, ForebayError
from feature_specs.library_errors import explain_one, known_errors
from feature_specs.sql_types import SqlType, parse_type
from lakehouse.count_rows import count_rows
from lakehouse.duckdb_types import duckdb_type
from lakehouse.lake import FeatureState, find_table, open_lake, read_state
from serving.state import ViewState, keys_of

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
        check_has_columns(self.table, self.view, columns)
        yield from _split(self.table.scan(selected_fields=tuple(columns)).to_arrow_batch_reader())

    def count(self) -> int:
        return count_rows(self.table)

    def state_with(self, rows: int, log: int | None) -> ViewState:
        """The state of a store that has ``rows`` of it, at a position in the view's log."""
        keys, semantic_hash = keys_of(self.view), self.view.semantic_hash
        return ViewState(self.state.at, semantic_hash, rows, self.snapshot, log, keys=keys)


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
            hint=BUILD,
        )
    if state.semantic_hash != view.semantic_hash:
        raise ForebayError(
            f"feature view {view.name!r} has changed since {view.table} was built",
            where=view.name,
            hint=BUILD,
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


def check_has_columns(table: Table, view: ViewEntry, columns: Sequence[str]) -> None:
    """Raises DataError unless the table has the columns, of the types that the view gives."""
    known = {field.name: field.field_type for field in table.schema().fields}
    types = dict(zip(view.keys, (c.type for c in view.entities), strict=True))
    types |= {column.name: column.type for column in view.stored}
    name = ".".join(table.name())
    for column in columns:
        if column not in known:
            raise DataError(f"table {name} has no column {column!r}", where=view.name, hint=BUILD)
        if column not in types:
            continue
        kind = duckdb_type(known[column], where=column)
        if not _holds(parse_type(types[column]), parse_type(kind)):
            raise DataError(
                f"column {column!r} of table {name} is {kind}, and the view gives {types[column]}",
                where=view.name,
                hint=BUILD,
            )


def _holds(declared: SqlType, stored: SqlType) -> bool:
    """Whether a table's type is that of a feature, or what Iceberg has in its place: then each value
    has one text in both."""
    if declared.is_integer:
        return stored.is_integer or (stored.name == "DECIMAL" and stored.scale == 0)
    if declared.name == "DECIMAL":
        # Without digits before the point the text is another one: see `value_sql.decimal_text`.
        fractions = (declared.width == declared.scale, stored.width == stored.scale)
        alike = stored.scale == declared.scale and len(set(fractions)) == 1
        return stored.name == "DECIMAL" and alike
    if declared.name == "UUID":
        return stored.name in ("UUID", "VARCHAR")
    if declared.name == "DOUBLE":
        return stored.is_float
    if stored.name != declared.name or stored.fields != declared.fields:
        return False
    return all(map(_holds, declared.items, stored.items))


def _split(batches: Any) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            yield batch.slice(start, _BATCH)
