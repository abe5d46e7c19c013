"""Micro-batches, steps and upkeep in turn: values as by brute force, few files, little disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_specs.view import FeatureView
from lakehouse.lake import load_table
from lakehouse.local_path import local_path
from lakehouse.maintain.compact_table import compact_table
from lakehouse.maintain.free_files import Ages
from lakehouse.maintain.maintain_table import all_tables
from lakehouse.maintain.pinned import pins_of_tables
from lakehouse.scan import pin
from lakehouse.stream.fence import FENCE, Fence, Place, read_fence
from tests.feature_specs.worlds import BASE, EVENTS
from tests.lakehouse.builds import HOUR, Build
from tests.lakehouse.maintain.lakes import later, maintain, write_fence
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

EVENTS_TABLE = "raw.events"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    write_fence(build.lake, fence)
    assert compact_table(build.lake, EVENTS_TABLE) == 9
    head = load_table(build.lake, EVENTS_TABLE).current_snapshot()
    assert head is not None and head.summary is not None
    assert head.summary.additional_properties[FENCE] == fence.dumps()
    assert read_fence(load_table(build.lake, EVENTS_TABLE)) == fence


def test_partitions_are_compacted_each_by_itself(tmp_path: Path) -> None:
    """Small files of one day become one of that day, and a step goes on over it."""
    build = Build(tmp_path, SUMS, (EVENTS,), by_day=True)
    at, day = BASE, timedelta(days=1)
    for n in range(20):
        times = [at - m * day for m in range(2)]
        build.append(
            EVENTS, [(f"k{n % 3}", 1, t, t, n, Decimal("0.10"), 0.5, "p", True) for t in times]
        )
        at += timedelta(minutes=7)
    build.advance(at)
    before = load_table(build.lake, EVENTS_TABLE)
    days = {e.data_file.partition[0] for e in pin(before).files}
    assert compact_table(build.lake, EVENTS_TABLE) >= 16
    table = load_table(build.lake, EVENTS_TABLE)
    files = [e.data_file for e in pin(table).files]
    assert len(files) < 2 * 8 and {f.partition[0] for f in files} == days
    for file in files:
        found = pq.read_table(local_path(file.file_path))["ts"].to_pylist()
        assert {(t - EPOCH).days for t in found} == {file.partition[0]}
    assert sorted(read_arrow(table)["x"].to_pylist()) == sorted([*range(20), *range(20)])
    assert compact_table(build.lake, EVENTS_TABLE) == 0
    build.append(EVENTS, [("new", 1, at, at, 1, Decimal("0.10"), 1.5, "p", True)])
    assert build.advance(at + HOUR).how == "step"
    build.check(at + HOUR)


def test_a_log_s_small_files_become_one_as_steps_are_made(tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    at = BASE
    for n in range(20):
        build.append(EVENTS, [(f"k{n % 3}", 1, at, at, n, Decimal("0.10"), 1.5, "p", True)])
        assert build.advance(at).how == ("step" if n else "full")
        at += timedelta(minutes=7)
    build.check(at - timedelta(minutes=7))
    log = load_table(build.lake, build.entry.history_table)
    assert len(pin(log).files) < 16 and log.inspect.snapshots().num_rows > 20
    assert len(read_arrow(log)) == 20
