"""The snapshots that the tables of a lake still need of one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pyiceberg.table import Table

from lakehouse.backfill_state import read_backfill
from lakehouse.feature_tables.generations import kept_generations
from lakehouse.lake import read_state
from lakehouse.maintain.expire_snapshots import Pins
from lakehouse.training_record import Record, read_property


def pins_of_tables(tables: Iterable[Table]) -> Pins:
    """What feature tables resume from, and what training sets were made of."""
    read: set[int] = set()
    onward: set[int] = set()
    for table in tables:
        state = read_state(table)
        if state is not None:
            onward.update(s for s in state.snapshots.values() if s is not None)
        for generation in kept_generations(table):
            onward.update(s for s in generation.state.snapshots.values() if s is not None)
        history = read_backfill(table)
        if history is not None and history.done < history.number:
            read.update(snapshots_of(history.record))
        record = read_property(table)
        if record is not None:
            read.update(snapshots_of(record))
    return Pins(frozenset(read), frozenset(onward))


def snapshots_of(record: Record) -> Iterator[int]:
    """The snapshots of all tables that a training set was made of."""
    parts: list[Any] = [record.get("model"), *_values(record, "views"), *_values(record, "leaves")]
    for part in parts:
        if isinstance(part, dict) and isinstance(part.get("snapshot"), int):
            yield part["snapshot"]


def _values(record: Record, name: str) -> list[Any]:
    found = record.get(name)
    return list(found.values()) if isinstance(found, dict) else []
