"""The states that a feature table has had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyiceberg.table import StaticTable, Table

from lakehouse.lake import FeatureState, read_state


def past_states(table: Table) -> Iterator[FeatureState]:
    """The table's states, the newest first, as far as its metadata files go back."""
    state = read_state(table)
    if state is not None:
        yield state
    for entry in reversed(table.metadata.metadata_log):
        try:
            state = read_state(StaticTable.from_metadata(entry.metadata_file))
        except (FileNotFoundError, ValueError):
            return  # deleted by `forebay maintain`
        if state is not None:
            yield state


def leaves_at(table: Table, at: int) -> Mapping[str, int | None] | None:
    """D of the rows for T = ``at``, in microseconds; None where that is not known any more."""
    return next((s.snapshots for s in past_states(table) if s.at == at), None)
