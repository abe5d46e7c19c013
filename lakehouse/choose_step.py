"""Whether a feature table may be brought forward by a step, and why not where it may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from feature_specs.catalog import ViewEntry
from feature_specs.deltas import added_relation
from lakehouse.lake import FeatureState, read_state
from lakehouse.plans import ViewPlan
from lakehouse.scan import Pinned, added_files, reads_alike


@dataclass(frozen=True)
class Choice:
    """How to get there, and why not more cheaply.

    Attributes:
        how: ``full``, ``step`` or ``nothing``.
        added: of a step, each leaf's files that came since.
    """

    how: str
    why: str
    added: Mapping[str, tuple[ManifestEntry, ...]] = field(default_factory=dict)


def choose_step(
    view: ViewEntry,
    plan: ViewPlan,
    leaves: Mapping[str, Pinned],
    latest: Table | None,
    before: FeatureState | None,
    state: FeatureState,
) -> Choice:
    """Choose between a step from ``before`` to ``state``, all anew, and nothing.

    Args:
        latest: the table of the latest rows, which a crash may have left behind ``before``.
    """
    if before is None:
        return Choice("full", "there is no table yet")
    if before.semantic_hash != view.semantic_hash:
        return Choice("full", "the view means something else now")
    if before == state and stands_at(latest, state):
        return Choice("nothing", "it stands there already")
    if before.at > state.at:
        return Choice("full", "the clock stands before the last build's")
    if plan.touched is None:
        return Choice("full", "any entity may change at any time in this query")
    added: dict[str, tuple[ManifestEntry, ...]] = {}
    for name in view.leaves:
        pinned, since = leaves[name], before.snapshots.get(name)
        if since is not None and pinned.table.snapshot_by_id(since) is None:
            return Choice("full", f"the snapshot of {name} that was read last has expired")
        came = added_files(pinned.table, since, pinned.snapshot)
        if came is None:
            return Choice("full", f"rows of {name} were removed or rewritten")
        if came and added_relation(name) not in plan.touched:
            return Choice("full", f"{name} is declared static and has new rows")
        if not reads_alike(pinned.table, before.readings.get(name)):
            return Choice("full", f"columns of {name} were changed, or are read in another way now")
        added[name] = came
    if plan.deltas is None:
        return Choice("step", "keys touched are recomputed", added)
    if latest is None or not stands_at(latest, before):
        return Choice("full", "the last build was cut short, and the sums are of one before")
    if not set(plan.deltas.columns) <= {f.name for f in latest.schema().fields}:
        return Choice("full", "the table holds no running sums yet")
    return Choice("step", "sums take deltas", added)


def stands_at(table: Table | None, state: FeatureState | None) -> bool:
    """Whether the table's last commit left that state."""
    return table is not None and read_state(table) == state
