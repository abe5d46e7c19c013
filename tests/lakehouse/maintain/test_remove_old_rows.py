"""Retention over real tables: what goes, what views then give, and what they refuse to give."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyiceberg.table import Table

from feature_specs.errors import DataError
from feature_specs.instants import epoch_us
from feature_specs.retention import Retention
from feature_specs.view import FeatureView
from lakehouse.count_rows import count_rows
from lakehouse.lake import load_table
from lakehouse.maintain.remove_old_rows import cutoff, find_old_rows, remove_old_rows
from lakehouse.pyiceberg_internals import SteadyTransaction
from lakehouse.retained import check_retained, removals, retained_from
from lakehouse.scan import pin
from lakehouse.stream.fence import Fence, Place, read_fence
from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import BASE, EVENTS, LATE
from tests.lakehouse.builds import HISTORY, HOUR, Build
from tests.lakehouse.maintain.lakes import write_fence
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
KEPT = Retention(("ts",), 2 * 86_400_000_000)
SUMS = FeatureView(
    "sums",
    "select k, count(*) as n, sum(x) as s from events "
    "where ts > now() - interval '1' day group by k",
    ("k",),
)
GREATEST = FeatureView("greatest", SUMS.sql.replace("sum(x)", "max(f)"), ("k",))
LATEST = FeatureView("latest", "select k, ts, x from events", ("k",), event_time="ts")


def event(key: str, at: object, x: int, loaded: object = None) -> Row:
    return (key, 1, at, loaded or at, x, Decimal("0.10"), 1.5 * x, "p", True)


def table_of(build: Build) -> Table:
    return load_table(build.lake, "raw.events")


@pytest.mark.parametrize("view", [SUMS, GREATEST], ids=lambda v: v.name)
@pytest.mark.parametrize("by_day", [False, True], ids=["plain", "by_day"])
def test_steps_go_on_over_rows_that_went(view: FeatureView, by_day: bool, tmp_path: Path) -> None:
    """Values are F(D, T) of the whole past, by an oracle that never forgets a row."""
    rng = random.Random(5)
    build = Build(tmp_path, view, (EVENTS,), by_day=by_day)
    at, how = BASE, []
    for n in range(14):
        at += 9 * HOUR
        times = [at - rng.choice([0, 1, 5, 20, 40]) * HOUR for _ in range(4)]
        build.append(EVENTS, [event(f"k{i % 3}", t, n * 4 + i) for i, t in enumerate(times)])
        if n % 4 == 3:
            remove_old_rows(build.lake, "raw.events", KEPT, at)
        how.append(build.advance(at).how)
        build.check(at)
    assert how == ["full", *["step"] * 13]
    left = sorted(read_arrow(table_of(build))["ts"].to_pylist())
    assert 0 < len(left) < len(build.rows["events"])
    assert left == sorted(
        r[2]
        for r in build.rows["events"]
        if epoch_us(r[2]) >= max(x for _, x in removals(table_of(build)))
    )
    assert build.advance(at, full_refresh=True).upserts == 0


def test_a_view_that_was_not_built_for_long_is_computed_in_full(tmp_path: Path) -> None:
    """Its last build's windows held rows that are gone: what they came to cannot be taken off."""
    build = Build(tmp_path, SUMS, (EVENTS,))
    build.append(EVENTS, [event("a", BASE, 1), event("b", BASE + 9 * DAY, 2)])
    build.advance(BASE + HOUR)
    assert remove_old_rows(build.lake, "raw.events", KEPT, BASE + 10 * DAY) == 1
    assert build.advance(BASE + 9 * DAY).how == "full"
    build.check(BASE + 9 * DAY)


def test_an_instant_that_needs_rows_which_went_is_refused(tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    build.append(EVENTS, [event("a", BASE + n * DAY, n) for n in range(10)])
    remove_old_rows(build.lake, "raw.events", KEPT, BASE + 9 * DAY)
    table = table_of(build)
    since = retained_from(table, None)
    assert since is not None and since % 86_400_000_000 == 0
    reach = build.entry.reach["events"]
    first = BASE + timedelta(microseconds=since + reach - epoch_us(BASE))
    build.advance(first)
    build.check(first)
    with pytest.raises(DataError, match=f"ask for {first.isoformat()[:19]}"):
        build.advance(first - timedelta(microseconds=1))


def test_a_latest_value_without_a_bound_is_refused_rather_than_forgotten(tmp_path: Path) -> None:
    """Its entity's last event may be among the rows that went: null would be a wrong value."""
    build = Build(tmp_path, LATEST, (EVENTS,))
    build.append(EVENTS, [event("quiet", BASE, 7), event("busy", BASE + 9 * DAY, 1)])
    build.advance(BASE + 9 * DAY)
    build.check(BASE + 9 * DAY)
    before = load_table(build.lake, build.entry.table).current_snapshot()
    remove_old_rows(build.lake, "raw.events", KEPT, BASE + 9 * DAY)
    with pytest.raises(DataError, match="reads all the past of events, of which retention"):
        build.advance(BASE + 9 * DAY + HOUR)
    assert load_table(build.lake, build.entry.table).current_snapshot() == before


def test_a_history_with_a_ttl_gives_the_same_and_steps(tmp_path: Path) -> None:
    build = Build(tmp_path, HISTORY, (EVENTS,), visible=True)
    build.append(EVENTS, [event("quiet", BASE, 7), event("busy", BASE + 9 * DAY, 1)])
    at = BASE + 9 * DAY
    build.advance(at)
    assert remove_old_rows(build.lake, "raw.events", KEPT, at) == 1
    build.append(EVENTS, [event("busy", at + HOUR, 5)])
    assert build.advance(at + HOUR).how == "step"
    build.check(at + HOUR)


def test_a_late_row_stays_until_both_of_its_times_are_old(tmp_path: Path) -> None:
    build = Build(tmp_path, FeatureView("v", SUMS.sql, ("k",)), (LATE,))
    at = BASE + 9 * DAY
    build.append(LATE, [event("a", BASE, 1, at), event("a", BASE, 2), event("a", at, 3)])
    late = Retention(("ts", "loaded"), KEPT.keep_us)
    assert remove_old_rows(build.lake, "raw.events", late, at) == 1
    assert sorted(read_arrow(table_of(build))["x"].to_pylist()) == [1, 3]


def test_rows_without_a_time_and_deleted_rows_are_no_obstacle(tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    at = BASE + 9 * DAY
    build.append(EVENTS, [event("a", BASE, 1), event("b", None, 2), event("c", at, 3)])
    assert remove_old_rows(build.lake, "raw.events", KEPT, at) == 1
    assert sorted(read_arrow(table_of(build))["x"].to_pylist()) == [2, 3]
    assert remove_old_rows(build.lake, "raw.events", KEPT, at) == 0


def test_of_a_file_old_by_its_bounds_only_rows_with_a_time_are_counted(tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    build.append(EVENTS, [event("a", BASE, 1), event("b", None, 2), event("c", BASE, 3)])
    at = BASE + 9 * DAY
    with duckdb.connect() as connection:
        old = find_old_rows(connection, table_of(build), KEPT, at)
    assert old is not None and (old.rows, old.found.rows) == (2, 2)
    assert remove_old_rows(build.lake, "raw.events", KEPT, at) == 2
    assert read_arrow(table_of(build))["x"].to_pylist() == [2]
    assert count_rows(table_of(build)) == 1


def test_a_removal_by_an_earlier_clock_hides_none_that_went_further(tmp_path: Path) -> None:
    """Of removals older than every snapshot that is left the furthest counts, and not the last."""
    build = Build(tmp_path, SUMS, (EVENTS,))
    build.append(EVENTS, [event("a", BASE + n * DAY, n) for n in (0, 8, 20)])
    assert remove_old_rows(build.lake, "raw.events", KEPT, BASE + 12 * DAY) == 2
    furthest = retained_from(table_of(build), None)
    build.append(EVENTS, [event("late", BASE + DAY, 9)])
    assert remove_old_rows(build.lake, "raw.events", KEPT, BASE + 5 * DAY) == 1
    _expire_all_but_the_head(build)
    build.append(EVENTS, [event("late", BASE + DAY, 10)])
    _expire_all_but_the_head(build)
    assert remove_old_rows(build.lake, "raw.events", KEPT, BASE + 6 * DAY) == 1
    assert furthest == cutoff(KEPT, BASE + 12 * DAY)
    assert retained_from(table_of(build), None) == furthest
    assert len(removals(table_of(build))) == 2


def _expire_all_but_the_head(build: Build) -> None:
    table = table_of(build)
    head = table.current_snapshot()
    assert head is not None
    change = SteadyTransaction(table)
    change.remove_snapshots(
        [i for s in table.snapshots() if (i := s.snapshot_id) != head.snapshot_id]
    )
    change.commit_transaction()


def test_whole_files_go_unread_and_the_fence_and_old_snapshots_stay(tmp_path: Path) -> None:
    build = Build(tmp_path, SUMS, (EVENTS,))
    build.append(EVENTS, [event("a", BASE, 1)])
    tagged = table_of(build)
    build.append(EVENTS, [event("b", BASE + 9 * DAY, 2)])
    fence = Fence("events", "abc", {0: Place(2)})
    write_fence(build.lake, fence)
    before = {e.data_file.file_path for e in pin(table_of(build)).files}
    with duckdb.connect() as connection:
        old = find_old_rows(connection, table_of(build), KEPT, BASE + 9 * DAY)
    assert old is not None and (old.rows, len(old.found.files)) == (1, 1)
    assert remove_old_rows(build.lake, "raw.events", KEPT, BASE + 9 * DAY) == 1
    after = {e.data_file.file_path for e in pin(table_of(build)).files}
    assert after < before and read_fence(table_of(build)) == fence
    current = tagged.current_snapshot()
    assert current is not None
    kept = table_of(build).scan(snapshot_id=current.snapshot_id).to_arrow()
    assert kept["x"].to_pylist() == [1]
    # A training set made of that snapshot may still be made again at its own instants.
    assert retained_from(table_of(build), current.snapshot_id) is None
    head = pin(table_of(build))
    with pytest.raises(DataError, match="that retention has removed"):
        check_retained(build.entry, {"events": head}, epoch_us(BASE))


def test_rows_go_in_steps_of_a_hundredth_and_at_least_a_day() -> None:
    years = Retention(("ts",), 1098 * 86_400_000_000)
    places = {cutoff(years, BASE + n * DAY) for n in range(100)}
    assert len(places) in (10, 11)
    assert all(epoch_us(BASE) - years.keep_us - 10 * 86_400_000_000 < p for p in places)
    assert cutoff(KEPT, BASE) <= epoch_us(BASE) - KEPT.keep_us
    assert len({cutoff(KEPT, BASE + n * HOUR) for n in range(48)}) in (2, 3)
