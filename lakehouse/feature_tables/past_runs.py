"""How long a view's table took to compute: kept with the table, one run of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from time import monotonic

from pyiceberg.table import Table

from feature_specs.catalog import ViewEntry
from lakehouse.scan import Pinned

RUNS_PROPERTY = "forebay.runs"


@dataclass(frozen=True)
class PastRun:
    """The last run of one kind.

    Attributes:
        seconds: of the clock, from the decision to the commit.
        rows: of the tables under the view at that time.
    """

    seconds: float
    rows: int

    def estimate(self, how: str, rows: int) -> float:
        """Seconds that a run over so many rows may take. A full one reads them all; a step's cost
        follows what changed, which is as much as last time for all that is known.

        >>> PastRun(10.0, 1_000).estimate("full", 3_000), PastRun(2.0, 1_000).estimate("step", 3_000)
        (30.0, 2.0)
        """
        grown = rows / self.rows if how == "full" and self.rows else 1.0
        return self.seconds * grown


def note_run(
    history: Table | None,
    how: str,
    started: float,
    view: ViewEntry,
    leaves: Mapping[str, Pinned],
) -> dict[str, str]:
    """The property of a view's log with this run in it, and the last of the other kind.

    Args:
        started: by `time.monotonic`.
    """
    rows = rows_of(leaves[name] for name in view.leaves)
    run = PastRun(round(monotonic() - started, 3), rows)
    known = {**read_runs(history), how: run}
    return {RUNS_PROPERTY: json.dumps({n: asdict(r) for n, r in sorted(known.items())})}


def read_runs(history: Table | None) -> dict[str, PastRun]:
    """The last run of each kind, ``full`` and ``step``; none of a table of an earlier forebay."""
    text = None if history is None else history.properties.get(RUNS_PROPERTY)
    return {} if text is None else {n: PastRun(**r) for n, r in json.loads(text).items()}


def rows_of(leaves: Iterable[Pinned]) -> int:
    """How many rows the data files of some tables have; deleted ones count."""
    return sum(entry.data_file.record_count for leaf in leaves for entry in leaf.files)
