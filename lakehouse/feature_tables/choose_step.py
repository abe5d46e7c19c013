"""Choose whether a feature table is brought forward by a step, and say why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from pyiceberg.manifest import ManifestEntry
from pyiceberg.table import Table

from feature_specs.catalog import ViewEntry
from feature_specs.deltas import added_relation
from feature_specs.instants import epoch_us
from lakehouse.lake import FeatureState, read_state
from lakehouse.plans import ViewPlan
from lakehouse.retained import passes_removal
from lakehouse.scan import Pinned, added_files, columns_read_alike, reading_of


@dataclass(frozen=True)
class StepChoice:
    """How to bring the table forward, and why not more cheaply.

    Attributes:
        how: ``full``, ``step`` or ``nothing``.
        added: of a step, the files added to each leaf since.
    """

    how: str
    why: str
    added: Mapping[str, tuple[ManifestEntry, ...]] = field(default_factory=dict)


def state_at(view: ViewEntry, leaves: Mapping[str, Pinned], at: datetime) -> FeatureState:
    """The state of a view's table at ``at`` over the pinned leaves."""
    return FeatureState(
        at=epoch_us(at),
        semantic_hash=view.semantic_hash,
        snapshots={name: leaves[name].snapshot for name in sorted(view.leaves)},
        readings={name: reading_of(leaves[name].table) for name in sorted(view.leaves)},
    )


def choose_step(
    view: ViewEntry,
    plan: ViewPlan,
    leaves: Mapping[str, Pinned],
    latest: Table | None,
    before: FeatureState | None,
    state: FeatureState,
    *,
    full_refresh: bool = False,
) -> StepChoice:
    """Choose between a step from ``before`` to ``state``, all anew, and nothing.

    Both `forebay plan` and the build ask this, so that the one says what the other does.

    Args:
        latest: the table of the latest rows, which a crash may have left behind ``before``.
    """
    if full_refresh:
        return StepChoice("full", "it was asked for")
    if before is None:
        return StepChoice("full", "there is no table yet")
    if before.semantic_hash != view.semantic_hash:
        return StepChoice("full", "the view means something else now")
    if before == state and stands_at(latest, state):
        return StepChoice("nothing", "it stands there already")
    if before.at > state.at:
        return StepChoice("full", "the clock stands before the last build's")
    if plan.touched is None:
        why = plan.why_in_full or "any entity may change at any time in this query"
        return StepChoice("full", why)
    added: dict[str, tuple[ManifestEntry, ...]] = {}
    for name in view.leaves:
        pinned, since = leaves[name], before.snapshots.get(name)
        if since is not None and pinned.table.snapshot_by_id(since) is None:
            return StepChoice("full", f"the snapshot of {name} that was read last has expired")
        passed = partial(passes_removal, view, name, before.at)
        came = added_files(pinned.table, since, pinned.snapshot, passed)
        if came is None:
            return StepChoice("full", f"rows of {name} were removed or rewritten")
        if came and added_relation(name) not in plan.touched:
            return StepChoice("full", f"{name} is declared static and has new rows")
        if not columns_read_alike(pinned.table, before.readings.get(name), view.reads.get(name)):
            return StepChoice(
                "full", f"columns of {name} were changed, or are read in another way now"
            )
        added[name] = came
    if plan.deltas is None:
        return StepChoice("step", "keys touched are recomputed", added)
    if latest is None or not stands_at(latest, before):
        return StepChoice("full", "the last build was cut short, and the sums are of one before")
    if not set(plan.deltas.columns) <= {f.name for f in latest.schema().fields}:
        return StepChoice("full", "the table holds no running sums yet")
    return StepChoice("step", "sums take deltas", added)


def stands_at(table: Table | None, state: FeatureState | None) -> bool:
    """Whether the table's last commit left that state."""
    return table is not None and read_state(table) == state
