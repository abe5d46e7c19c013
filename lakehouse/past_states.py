"""The states that a feature table or its log has had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyiceberg.table import StaticTable, Table

from lakehouse.lake import FeatureState, read_state


def past_states(table: Table) -> Iterator[tuple[int, FeatureState]]:
    """The table's states, each with its snapshot of then (-1 of none), the newest first, as far as
    its metadata files go back."""
    yield from _state(table)
    for entry in reversed(table.metadata.metadata_log):
        try:
            found = StaticTable.from_metadata(entry.metadata_file)
        except (FileNotFoundError, ValueError):
            return  # deleted by `forebay maintain`
        yield from _state(found)


def _state(table: Table) -> Iterator[tuple[int, FeatureState]]:
    state, current = read_state(table), table.current_snapshot()
    if state is not None:
        yield (-1 if current is None else current.snapshot_id, state)


def leaves_at(
    log: Table, at: int, position: int | None = None, semantic_hash: str | None = None
) -> Mapping[str, int | None] | None:
    """D of the rows for T = ``at``, in microseconds.

    None where that is not known any more, or where builds for one T read several D and nothing says
    which of them is meant.

    Args:
        log: a view's log.
        position: the log's snapshot after the build that is meant; -1 before its first.
        semantic_hash: of the query that made the rows.
    """
    found = [
        state.snapshots
        for place, state in past_states(log)
        if state.at == at
        and position in (None, place)
        and semantic_hash in (None, state.semantic_hash)
    ]
    if not found:
        return None
    # Two builds of one position have left the same rows, whatever they read.
    one = position is not None or all(each == found[0] for each in found)
    return found[0] if one else None
