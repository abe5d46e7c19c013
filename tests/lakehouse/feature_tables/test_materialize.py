"""State built by any sequence of steps equals F(D, T), over real Iceberg tables."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from feature_specs.compile import compile_view
from feature_specs.errors import DataError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table
from tests.feature_specs.worlds import BASE, DIMS, EVENTS, LATE, QUARTER, US, make_rows
from tests.lakehouse.builds import HISTORY, HOUR, Build, entry_of, random_batch
from tests.lakehouse.read_arrow import read_arrow

pytestmark = [pytest.mark.usefixtures("how_rows_are_written"), pytest.mark.many_cases]

VIEWS: dict[str, tuple[FeatureView, tuple[Leaf, ...], bool]] = {
    "windows": (
        FeatureView(
            "windows",
            "select k, count(*) as n, sum(x) as sx, sum(f) as sf, max(d) as hi, "
            "count(*) filter (where ts > now() - interval '1' hour) as n1 from events "
            "where ts > now() - interval '6' hour group by k",
            ("k",),
        ),
        (LATE,),
        False,
    ),
    "lifetime": (
        FeatureView(
            "lifetime",
            "select e.k, e.j, count(*) as n, avg(x) as ax, sum(e.x * d.weight) as w, "
            "min(f) filter (where ts >= now() - interval '6' hour) as lo from events e "
            "left join dims d on d.k = e.k group by e.k, e.j having count(*) > 1",
            ("k", "j"),
            boundary="exclusive",
        ),
        (EVENTS, DIMS),
        False,
    ),
    "history": (HISTORY, (LATE,), True),
    "fading": (
        FeatureView(
            "fading",
            "select k, ts, x, f from events where ts > now() - interval '1' hour",
            ("k",),
            event_time="ts",
        ),
        (EVENTS,),
        False,
    ),
    "in_full": (
        FeatureView(
            "in_full",
            "select k, count(*) as n, sum(x) as sx, avg(epoch(now() - ts)) as age from events "
            "where ts > now() - interval '1' day group by k",
            ("k",),
        ),
        (EVENTS,),
        False,
    ),
}


def _build(name: str, folder: Path) -> Build:
    view, leaves, visible = VIEWS[name]
    build = Build(folder, view, leaves, visible)
    if DIMS in leaves:
        build.append(DIMS, make_rows(DIMS, 0))
    return build


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["windows", *(pytest.param(n, marks=pytest.mark.slow) for n in VIEWS if n != "windows")]
)
def test_any_sequence_of_steps_leads_to_the_same_rows(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    build = _build(name, tmp_path)
    events = build.leaves[0]
    at, how = BASE, []
    for step in range(30):
        batch = random_batch(rng, at, build.rows[events.name])
        moved = rng.choice([timedelta(), timedelta(), US, QUARTER, HOUR, 6 * HOUR])
        if step in (10, 20):  # data without time, then time without data
            batch, moved = (batch or random_batch(random.Random(3), at, []), timedelta())
        if batch or step % 7 == 0:
            build.append(events, batch)
        at += moved
        if step in (12, 24):
            build.lose_second_commit(at)
        how.append(build.advance(at).how)
        build.check(at)
    build.advance(at + 40 * HOUR)
    build.check(at + 40 * HOUR)
    if name == "in_full":
        assert set(how) <= {"full", "nothing"}
    else:
        assert how[0] == "full" and set(how[1:]) <= {"step", "nothing"} and "step" in how


def test_a_repeated_step_changes_nothing(tmp_path: Path) -> None:
    build = _build("windows", tmp_path)
    build.append(LATE, make_rows(LATE, 1))
    at = BASE + 12 * HOUR
    assert build.advance(at).upserts > 0
    tables = (build.entry.table, build.entry.history_table)
    before = [load_table(build.lake, t).current_snapshot() for t in tables]
    assert build.advance(at).how == "nothing"
    assert [load_table(build.lake, t).current_snapshot() for t in tables] == before
    again = build.advance(at, full_refresh=True)
    assert (again.how, again.upserts, again.deletes) == ("full", 0, 0)
    build.check(at)


def test_rows_committed_late_without_a_time_of_arrival_count(tmp_path: Path) -> None:
    build = _build("lifetime", tmp_path)
    at = BASE + 12 * HOUR
    row = ("a", 1, BASE, None, 5, None, 1.5, "p", True)
    build.append(EVENTS, [row])
    build.advance(at)
    build.check(at)
    build.append(EVENTS, [row, ("a", 1, BASE + HOUR, None, 7, None, 2.5, "p", True)])
    assert build.advance(at).how == "step"
    build.check(at)
    assert build.oracle.at(at)[("a", 1)]["n"] == 3


def test_an_entity_whose_row_goes_is_deleted_and_the_log_says_so(tmp_path: Path) -> None:
    build = _build("windows", tmp_path)
    build.append(LATE, [("a", 1, BASE, BASE, 5, None, 1.5, "p", True)])
    build.advance(BASE + HOUR)
    gone = build.advance(BASE + 6 * HOUR)
    assert (gone.how, gone.deletes, gone.rows) == ("step", 1, 0)
    build.check(BASE + 6 * HOUR)
    log = read_arrow(load_table(build.lake, build.entry.history_table)).to_pylist()
    assert sorted(row["deleted"] for row in log) == [False, True]


def test_a_crash_between_the_first_two_commits_heals(tmp_path: Path) -> None:
    build = _build("windows", tmp_path)
    build.append(LATE, make_rows(LATE, 2))
    at = BASE + 12 * HOUR
    build.advance(at)
    build.lake.drop_table(build.entry.table)
    build.advance(at)
    build.check(at)


def test_a_crash_heals_where_every_build_is_in_full(tmp_path: Path) -> None:
    build = _build("in_full", tmp_path)
    build.append(EVENTS, make_rows(EVENTS, 3))
    build.advance(BASE + HOUR)
    build.lose_second_commit(BASE + 2 * HOUR)
    build.advance(BASE + 2 * HOUR)
    build.check(BASE + 2 * HOUR)


@pytest.mark.parametrize("later", [timedelta(), HOUR, 6 * HOUR])
def test_a_crash_heals_at_the_next_instant(later: timedelta, tmp_path: Path) -> None:
    build = _build("windows", tmp_path)
    build.append(LATE, make_rows(LATE, 3))
    at = BASE + 6 * HOUR
    build.advance(at)
    build.append(LATE, make_rows(LATE, 4))
    build.lose_second_commit(at + HOUR)
    build.advance(at + HOUR + later)
    build.check(at + HOUR + later)


def test_the_clock_may_go_back_and_the_meaning_change(tmp_path: Path) -> None:
    build = _build("windows", tmp_path)
    build.append(LATE, make_rows(LATE, 3))
    build.advance(BASE + 12 * HOUR)
    assert build.advance(BASE + 6 * HOUR).how == "full"
    build.check(BASE + 6 * HOUR)
    view, leaves, _ = VIEWS["windows"]
    other = FeatureView("windows", view.sql.replace("'6' hour", "'3' hour"), ("k",))
    build.view = other
    build.oracle.view, build.oracle.sql = other, other.sql
    build.entry, build.plan = entry_of(compile_view(other, leaves))
    assert build.advance(BASE + 7 * HOUR).how == "full"
    build.check(BASE + 7 * HOUR)


def test_a_second_row_for_an_entity_is_an_error(tmp_path: Path) -> None:
    view = FeatureView("twice", "select k, region, weight from dims", ("k",))
    build = Build(tmp_path, view, (DIMS,))
    build.append(DIMS, [("a", "n", 1), ("a", "s", 2)])
    with pytest.raises(DataError, match="two rows for one entity"):
        build.advance(BASE)


def test_rows_taken_out_of_a_leaf_lead_to_a_full_build(tmp_path: Path) -> None:
    build = _build("windows", tmp_path)
    rows = make_rows(LATE, 3)
    build.append(LATE, rows)
    at = BASE + 12 * HOUR
    build.advance(at)
    fewer = read_arrow(load_table(build.lake, "raw.events")).slice(0, 20)
    commit_rows(build.lake, "raw.events", fewer, mode="replace")
    build.oracle.load(LATE, [tuple(row.values()) for row in fewer.to_pylist()])
    assert build.advance(at).how == "full"
    build.check(at)
