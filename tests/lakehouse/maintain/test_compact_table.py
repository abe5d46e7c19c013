"""Micro-batches, steps and upkeep in turn: values as by brute force, few files, little disk."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from feature_specs.view import FeatureView
from lakehouse.count_rows import set_properties
from lakehouse.lake import load_table
from lakehouse.maintain.compact_table import compact_table
from lakehouse.maintain.free_files import Ages
from lakehouse.maintain.maintain_table import all_tables
from lakehouse.maintain.pinned import pins_of_tables
from lakehouse.scan import pin
from lakehouse.stream.fence import FENCE, Fence, Place, read_fence
from tests.feature_specs.worlds import BASE, EVENTS
from tests.lakehouse.builds import HOUR, Build
from tests.lakehouse.maintain.lakes import later, maintain
from tests.lakehouse.read_arrow import read_arrow

EVENTS_TABLE = "raw.events"
SUMS = FeatureView(
    "sums",
    "select k, count(*) as n, sum(x) as s, max(f) as m from events "
    "where ts > now() - interval '6' hour group by k",
    ("k",),
)


@pytest.mark.parametrize("batches", [24, pytest.param(200, marks=pytest.mark.slow)])
def test_micro_batches_stay_small_and_right(batches: int, tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    at, ages = BASE, Ages(metadata_files=2)
    for n in range(batches):
        at += timedelta(minutes=7)
        build.append(EVENTS, [(f"k{n % 5}", 1, at, at, n, Decimal("0.10"), 1.5 * n, "p", True)])
        if n % 12 == 0:
            assert build.advance(at).how == ("step" if n else "full")
        if n % 12 == 7:  # after a step, with batches since then that no step has seen
            compact_table(build.lake, EVENTS_TABLE)
            pins = pins_of_tables(all_tables(build.lake).values())
            maintain(build.lake, later(2), EVENTS_TABLE, pins, ages)
    build.advance(at)
    build.check(at)
    assert build.advance(at, full_refresh=True).upserts == 0
    compact_table(build.lake, EVENTS_TABLE)
    pins = pins_of_tables(all_tables(build.lake).values())
    maintain(build.lake, later(2), EVENTS_TABLE, pins, ages)
    table = load_table(build.lake, EVENTS_TABLE)
    assert len(pin(table).files) < 16 and len(table.snapshots()) < 16
    assert sorted(read_arrow(table)["x"].to_pylist()) == list(range(batches))
    build.append(EVENTS, [("new", 1, at, at, 1, Decimal("0.10"), 1.5, "p", True)])
    assert build.advance(at + HOUR).how == "step"
    build.check(at + HOUR)


def test_a_compaction_carries_the_fence(tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    for n in range(9):
        build.append(EVENTS, [("a", 1, BASE, BASE, n, Decimal("0.10"), 1.5, "p", True)])
    fence = Fence("events", "abc", {0: Place(9)})
    set_properties(load_table(build.lake, EVENTS_TABLE), {FENCE: fence.dumps()})
    assert compact_table(build.lake, EVENTS_TABLE) == 9
    head = load_table(build.lake, EVENTS_TABLE).current_snapshot()
    assert head is not None and head.summary is not None
    assert head.summary.additional_properties[FENCE] == fence.dumps()
    assert read_fence(load_table(build.lake, EVENTS_TABLE)) == fence
