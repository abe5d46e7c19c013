"""Progress of a backfill, kept as a table property and committed with its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pyiceberg.table import Table

BACKFILL_PROPERTY = "forebay.backfill"


@dataclass(frozen=True)
class BackfillState:
    """What a view's history table holds.

    Attributes:
        id: of the tag that keeps the snapshots while the backfill is not done.
        view, definition_hash: what was computed.
        first, step: the instants, in microseconds since the epoch.
        number: how many instants there are to be, counted from ``first``.
        done: how many of them are in the table.
        leaves: of each leaf's relation the table, snapshot and schema that are read.
    """

    id: str
    view: str
    definition_hash: str
    first: int
    step: int
    number: int
    done: int
    leaves: Mapping[str, Mapping[str, Any]]

    def dumps(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def record(self) -> dict[str, Any]:
        """As `lakehouse.keep_snapshots` takes it."""
        return {"id": self.id, "leaves": dict(self.leaves)}


def read_backfill(table: Table | None) -> BackfillState | None:
    """The state in a table's properties; None where it has none."""
    if table is None or BACKFILL_PROPERTY not in table.properties:
        return None
    said = json.loads(table.properties[BACKFILL_PROPERTY])
    return BackfillState(**{f.name: said[f.name] for f in fields(BackfillState)})
