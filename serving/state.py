"""What the online store knows of a view besides its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from feature_specs.catalog import Column, ViewEntry
from serving.rows import ROW_LAYOUT


@dataclass(frozen=True)
class ViewState:
    """The state that `sync` writes with a view's rows.

    Attributes:
        at: the instant T of the rows, F(D, T), in microseconds since the epoch, UTC.
        semantic_hash: of the query that made them; it fixes their columns too.
        rows: how many there are.
        snapshot: the Iceberg snapshot of the feature table that they are; None of an empty table.
        log: the Iceberg snapshot of the view's log that they stand at, -1 before its first; None
            where it is not known, so that the next change of the table is written as a whole.
        retired: since when rows of another meaning take the place of these, in microseconds since
            the epoch; None of the view's present meaning.
        leaves: D of the rows, the Iceberg snapshot of each leaf, where a stream has computed them
            ahead of the feature table; None where the table's state says it.
        keys: name and type of each key column of the rows, which are told apart by nothing else once
            the view means something else; None where an earlier version of forebay wrote them.
    """

    at: int
    semantic_hash: str
    rows: int
    snapshot: int | None = None
    log: int | None = None
    retired: int | None = None
    leaves: Mapping[str, int | None] | None = None
    keys: Sequence[Sequence[str]] | None = None

    def dumps(self) -> bytes:
        return json.dumps({"layout": ROW_LAYOUT, **asdict(self)}).encode()

    @property
    def key_columns(self) -> tuple[Column, ...] | None:
        return None if self.keys is None else tuple(Column(*column) for column in self.keys)


def keys_of(view: ViewEntry) -> list[list[str]]:
    """A view's key columns as its state has them."""
    return [[column.name, column.type] for column in view.entities]


def load_state(raw: bytes | None) -> ViewState | None:
    """The state from the store's bytes; None where the view was never synced.

    A state that another version of forebay wrote counts as none: the view is to be synced anew.
    """
    if raw is None:
        return None
    try:
        parts = json.loads(raw)
        return ViewState(**parts) if parts.pop("layout", None) == ROW_LAYOUT else None
    except (ValueError, TypeError, AttributeError):
        return None
