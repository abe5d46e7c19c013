"""What the online store knows of a view besides its rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ViewState:
    """The state that `sync` writes with a view's rows.

    Attributes:
        at: the instant T of the rows, F(D, T), in microseconds since the epoch, UTC.
        semantic_hash: of the query that made them; it fixes their columns too.
        rows: how many there are.
        snapshot: the Iceberg snapshot of the feature table that they are; None of an empty table.
    """

    at: int
    semantic_hash: str
    rows: int
    snapshot: int | None = None

    def dumps(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def load_state(raw: bytes | None) -> ViewState | None:
    """The state from the store's bytes; None where the view was never synced.

    A state that another version of forebay wrote counts as none: the view is to be synced anew.
    """
    try:
        return None if raw is None else ViewState(**json.loads(raw))
    except (ValueError, TypeError):
        return None
