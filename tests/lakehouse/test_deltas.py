"""Views whose sums take deltas: after any steps state = F(D, T), to the last digit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyiceberg.types import LongType

from feature_specs.compile import compile_view
from feature_specs.errors import DataError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table
from lakehouse.plans import plan_files, plan_folder, read_plan
from tests.feature_specs.oracle import Row
from tests.feature_specs.worlds import (
    BASE,
    DAYS,
    DIMS,
    EVENTS,
    LATE,
    LOCAL,
    QUARTER,
    SEEN_AT_EVENT,
    TRIPS,
    US,
    make_rows,
)
from tests.lakehouse.builds import HOUR, Build, random_batch
from tests.lakehouse.read_arrow import read_arrow

pytestmark = [pytest.mark.usefixtures("how_rows_are_written"), pytest.mark.many_cases]

DELTAS = "sums take deltas"

_WINDOWS = (
    "count(*) as n, count(x) as nx, sum(x) as sx, avg(d) as ad, sum(d) as sd, stddev(x) as dev, "
    "count(*) filter (where ts > now() - interval '1' hour) as n1, "
    "sum(d) filter (where ts >= now() - interval '2' hour and ok) as s2, "
    "avg(x) filter (where ts > now() - interval '3' hour and s = 'p') as a3, "
    "count_if(ok) filter (where ts >= now() - interval '1' hour) as ok1"
)

VIEWS: dict[str, tuple[FeatureView, tuple[Leaf, ...]]] = {
    "arrival": (
        FeatureView(
            "arrival",
            f"select k, {_WINDOWS} from events where ts > now() - interval '6' hour group by k",
            ("k",),
            boundary="exclusive",
        ),
        (LATE,),
    ),
    "event": (
        FeatureView(
            "event",
            f"select j, k, {_WINDOWS}, coalesce(sum(x), 0) / count(*) as r from events "
            "where ts >= now() - interval '6' hour and x is not null group by k, j",
            ("k", "j"),
        ),
        (EVENTS,),
    ),
    "unbounded": (
        FeatureView(
            "unbounded",
            "select e.k, count(*) as n, sum(e.x * d.weight) as w, sum(e.d) filter (where "
            "ts > now() - interval '1' hour) as s1 from events e left join dims d on d.k = e.k "
            "group by e.k",
            ("k",),
            boundary="exclusive",
        ),
        (EVENTS, DIMS),
    ),
    "two_clocks": (
        # Arrival counts in the windows, not in what is visible.
        FeatureView(
            "two_clocks",
            "select k, sum(x) filter (where loaded > now() - interval '2' hour) as s, "
            "count(*) filter (where ts <= now() - interval '1' hour) as old, "
            "var_pop(x) filter (where ts > now() - interval '5' hour) as v from events group by k",
            ("k",),
        ),
        (SEEN_AT_EVENT,),
    ),
    "days": (
        FeatureView("days", "select k, count(*) as n, sum(x) as s from days group by k", ("k",)),
        (DAYS,),
    ),
    "local": (
        FeatureView(
            "local", "select k, count(*) as n, sum(x) as s from local group by k",
            ("k",),
        ),
        (LOCAL,),
    ),
    "known_later": (
        FeatureView(
            "known_later",
            "select k, count(*) as n from trips where ts <= now() - interval '20' minute group by k",
            ("k",),
        ),
        (TRIPS,),
    ),
}  # fmt: skip


def _build(name: str, folder: Path, *, by_day: bool = False) -> Build:
    view, leaves = VIEWS[name]
    build = Build(folder, view, leaves, by_day=by_day)
    assert build.plan.deltas is not None
    if DIMS in leaves:
        build.append(DIMS, make_rows(DIMS, 0))
    return build


def _event(k: str | None, at: datetime, x: int | None = 1, loaded: datetime | None = None) -> Row:
    return (k, 1, at, loaded or at, x, Decimal("0.10"), 1.5, "p", True)


def _step(build: Build, at: datetime) -> tuple[int, int]:
    done = build.advance(at)
    assert (done.how, done.why) == ("step", DELTAS)
    build.check(at)
    return done.upserts, done.deletes


@pytest.mark.slow
@pytest.mark.parametrize("by_day", [False, True])
@pytest.mark.parametrize(
    "name",
    ["arrival", *(pytest.param(n, marks=pytest.mark.slow) for n in VIEWS if n != "arrival")],
)
def test_random_steps_lead_to_the_same_rows(name: str, by_day: bool, tmp_path: Path) -> None:
    rng = random.Random(f"{name} {by_day}")
    build = _build(name, tmp_path, by_day=by_day)
    leaf = build.leaves[0]
    at, why = BASE, []
    for step in range(24):
        batch = _random_batch(rng, leaf, at, build.rows[leaf.name])
        moved = rng.choice([timedelta(), timedelta(), US, QUARTER, HOUR, 6 * HOUR, 30 * HOUR])
        if batch or step % 5 == 0:
            build.append(leaf, batch)
        at += moved
        why.append(build.advance(at).why)
        build.check(at)
        assert build.advance(at).how == "nothing"
    # The first file that comes by add_files gives the table a name mapping.
    mapped = f"columns of {leaf.name} were changed, or are read in another way now"
    assert why.count(mapped) <= by_day
    known = {DELTAS, "it stands there already", mapped}
    assert why[1:].count(DELTAS) >= 12 and set(why[1:]) <= known
    changed = build.advance(at, full_refresh=True)
    assert (changed.upserts, changed.deletes) == (0, 0)
    build.check(at)


def _random_batch(rng: random.Random, leaf: Leaf, at: datetime, known: Sequence[Row]) -> list[Row]:
    if leaf.name == "events":
        return random_batch(rng, at, known)
    rows = rng.sample(make_rows(leaf, rng.randrange(5)), rng.choice([0, 0, 1, 3, 9]))
    return [*rows, *([rng.choice(known)] if known and rng.random() < 0.3 else [])]


def test_windows_decay_without_data_and_groups_go_and_come_back(tmp_path: Path) -> None:
    build = _build("event", tmp_path)
    both = [_event("b", BASE, 4), _event("b", BASE + HOUR)]
    build.append(EVENTS, [_event("a", BASE), *both, _event(None, BASE)])
    build.advance(BASE + HOUR)
    build.check(BASE + HOUR)
    assert _step(build, BASE + 6 * HOUR) == (2, 0)  # >=: six hours old to the microsecond
    assert _step(build, BASE + 6 * HOUR + US) == (1, 1)
    assert _step(build, BASE + 7 * HOUR + US) == (0, 1)
    assert _step(build, BASE + 9 * HOUR) == (0, 0)
    build.append(EVENTS, [_event("a", BASE + 8 * HOUR)])
    assert _step(build, BASE + 9 * HOUR) == (1, 0)
    log = read_arrow(load_table(build.lake, build.entry.history_table)).to_pylist()
    assert [r["deleted"] for r in log if r["k"] == "a"].count(True) == 1


def test_a_row_known_ahead_of_its_time_starts_once(tmp_path: Path) -> None:
    build = _build("arrival", tmp_path)
    later = _event("a", BASE + HOUR, 5, loaded=BASE)
    build.append(LATE, [_event("a", BASE - HOUR, 3), later])
    build.advance(BASE)
    build.check(BASE)
    build.append(LATE, [later])
    assert _step(build, BASE + HOUR) == (1, 0)  # exclusive: neither of both counts yet
    assert _step(build, BASE + HOUR + US) == (1, 0)
    assert build.oracle.at(BASE + HOUR + US)[("a",)]["n"] == 3
    assert _step(build, BASE + HOUR + 2 * US) == (0, 0)


def test_a_row_that_arrives_after_its_windows_never_counts(tmp_path: Path) -> None:
    build = _build("arrival", tmp_path)
    build.append(LATE, [_event("a", BASE, loaded=BASE + 9 * HOUR)])
    build.append(LATE, [_event("a", BASE, loaded=BASE + 2 * HOUR)])
    build.advance(BASE + HOUR)
    build.check(BASE + HOUR)
    assert _step(build, BASE + 2 * HOUR) == (1, 0)
    assert _step(build, BASE + 6 * HOUR) == (0, 1)
    assert _step(build, BASE + 10 * HOUR) == (0, 0)


def test_data_without_time_and_rows_committed_late(tmp_path: Path) -> None:
    build = _build("unbounded", tmp_path)
    build.append(EVENTS, [_event("a", BASE)])
    at = BASE + 12 * HOUR
    build.advance(at)
    build.append(EVENTS, [])
    assert _step(build, at) == (0, 0)
    build.append(EVENTS, [_event("a", BASE), _event("a", BASE + HOUR, 7), _event("b", BASE)])
    build.append(EVENTS, [_event("b", at + HOUR), _event(None, BASE)])
    assert _step(build, at) == (2, 0)
    assert build.oracle.at(at)[("a",)]["n"] == 3


def test_an_entity_whose_values_stay_writes_no_log_row(tmp_path: Path) -> None:
    build = _build("two_clocks", tmp_path)
    build.append(SEEN_AT_EVENT, [_event("a", BASE, 2)])
    build.advance(BASE)
    at = BASE + 5 * HOUR + QUARTER  # past all of its windows
    _step(build, at)
    build.append(SEEN_AT_EVENT, [_event("a", at, None, loaded=BASE)])
    assert _step(build, at) == (0, 0)  # one row more, in no aggregate
    build.append(SEEN_AT_EVENT, [_event("a", at, 1, loaded=at)])
    assert _step(build, at) == (1, 0)


def test_only_rows_that_pass_a_filter_count(tmp_path: Path) -> None:
    build = _build("event", tmp_path)
    build.append(EVENTS, [_event("a", BASE)])
    build.advance(BASE)
    build.append(EVENTS, [(*_event("a", BASE, 9)[:7], "q", False)])
    assert _step(build, BASE) == (1, 0)
    _step(build, BASE + 3 * HOUR)


def test_windows_of_one_sum_are_told_apart(tmp_path: Path) -> None:
    items = [
        f"sum(x) filter (where ts > now() - interval '{n}' hour) as s{n}, "
        f"count(*) filter (where ts > now() - interval '{n}' hour) as n{n}"
        for n in (1, 2, 3)
    ]
    sql = f"select k, {', '.join(items)} from events group by k"
    build = Build(tmp_path, FeatureView("told", sql, ("k",)), (EVENTS,))
    build.append(EVENTS, [_event("a", BASE, 2), _event("a", BASE + QUARTER, 5)])
    build.advance(BASE)
    for hours in (1, 2, 3, 4):
        assert _step(build, BASE + hours * HOUR) == (1, 0)


def test_a_row_is_found_by_the_time_of_its_zone(tmp_path: Path) -> None:
    build = _build("local", tmp_path)
    build.append(LOCAL, [("a", BASE.replace(tzinfo=None), 5)])
    build.advance(BASE + 4 * HOUR)
    assert _step(build, BASE + 5 * HOUR) == (1, 0)  # midnight in New York


def test_only_files_that_may_matter_are_read(tmp_path: Path) -> None:
    build = _build("event", tmp_path)
    for day in range(8):
        build.append(EVENTS, [_event("a", BASE + day * 24 * HOUR)])
    build.advance(BASE + 8 * 24 * HOUR)
    read: list[str] = []
    build.spy = read.append
    _step(build, BASE + 8 * 24 * HOUR + QUARTER)
    assert _files_kept(read) == 0
    build.append(EVENTS, [_event("a", BASE + 8 * 24 * HOUR)])
    _step(build, BASE + 8 * 24 * HOUR + HOUR)
    _step(build, BASE + 8 * 24 * HOUR + 2 * HOUR)
    assert _files_kept(read) == 1


def _files_kept(read: Sequence[str]) -> int:
    """How many files of the history the last step read."""
    kept = [sql for sql in read if "with forebay_kept_events as" in sql][-1]
    return kept.partition("forebay_added_events as")[0].count(".parquet")


def test_rows_taken_out_or_rewritten_lead_to_a_full_build(tmp_path: Path) -> None:
    build = _build("arrival", tmp_path)
    build.append(LATE, make_rows(LATE, 3))
    at = BASE + 12 * HOUR
    build.advance(at)
    fewer = read_arrow(load_table(build.lake, "raw.events")).slice(0, 20)
    commit_rows(build.lake, "raw.events", fewer, mode="replace")
    build.oracle.load(LATE, [tuple(row.values()) for row in fewer.to_pylist()])
    done = build.advance(at)
    assert (done.how, done.why) == ("full", "rows of events were removed or rewritten")
    build.check(at)
    assert _step(build, at + QUARTER) is not None
    load_table(build.lake, "raw.events").delete("k = 'a'")
    build.oracle.connection.execute("delete from raw_events where k = 'a'")
    assert build.advance(at + HOUR).how == "full"
    build.check(at + HOUR)


def test_a_snapshot_that_expired_leads_to_a_full_build(tmp_path: Path) -> None:
    build = _build("event", tmp_path)
    build.append(EVENTS, make_rows(EVENTS, 1))
    build.advance(BASE + HOUR)
    seen = load_table(build.lake, "raw.events").current_snapshot()
    assert seen is not None
    build.append(EVENTS, make_rows(EVENTS, 2))
    table = load_table(build.lake, "raw.events")
    table.maintenance.expire_snapshots().by_id(seen.snapshot_id).commit()
    assert build.advance(BASE + 2 * HOUR).how == "full"
    build.check(BASE + 2 * HOUR)


def test_a_static_leaf_that_changed_leads_to_a_full_build(tmp_path: Path) -> None:
    build = _build("unbounded", tmp_path)
    build.append(EVENTS, make_rows(EVENTS, 1))
    build.advance(BASE + HOUR)
    build.append(DIMS, [("c", "n", 11)])
    assert build.advance(BASE + HOUR).why == "dims is declared static and has new rows"
    build.check(BASE + HOUR)


def test_the_clock_may_go_back(tmp_path: Path) -> None:
    build = _build("arrival", tmp_path)
    build.append(LATE, make_rows(LATE, 3))
    build.advance(BASE + 12 * HOUR)
    assert build.advance(BASE + 6 * HOUR).how == "full"
    build.check(BASE + 6 * HOUR)
    assert _step(build, BASE + 8 * HOUR) is not None


@pytest.mark.parametrize("later", [timedelta(), HOUR])
def test_a_crash_between_the_commits_heals(later: timedelta, tmp_path: Path) -> None:
    build = _build("arrival", tmp_path)
    build.append(LATE, make_rows(LATE, 3))
    at = BASE + 6 * HOUR
    build.advance(at)
    build.append(LATE, make_rows(LATE, 4))
    build.lose_second_commit(at + HOUR)
    done = build.advance(at + HOUR + later)
    assert done.how == "full" and "cut short" in done.why
    build.check(at + HOUR + later)
    _step(build, at + HOUR + later + QUARTER)


def test_columns_may_be_added_but_not_change_places(tmp_path: Path) -> None:
    build = _build("event", tmp_path)
    build.append(EVENTS, make_rows(EVENTS, 1))
    build.advance(BASE + HOUR)
    with load_table(build.lake, "raw.events").update_schema() as change:
        change.add_column("extra", LongType())
    build.append(EVENTS, make_rows(EVENTS, 2))
    _step(build, BASE + 2 * HOUR)
    with load_table(build.lake, "raw.events").update_schema() as change:
        change.delete_column("x")
    with load_table(build.lake, "raw.events").update_schema() as change:
        change.add_column("x", LongType())
    build.append(EVENTS, make_rows(EVENTS, 3))
    assert (
        build.advance(BASE + 3 * HOUR).why
        == "columns of events were changed, or are read in another way now"
    )


def test_a_table_of_an_older_version_gets_its_sums(tmp_path: Path) -> None:
    build = _build("arrival", tmp_path)
    build.append(LATE, make_rows(LATE, 3))
    deltas, build.plan = build.plan.deltas, replace(build.plan, deltas=None)
    build.advance(BASE + HOUR)
    assert build.advance(BASE + 2 * HOUR).why == "keys touched are recomputed"
    build.plan = replace(build.plan, deltas=deltas)
    done = build.advance(BASE + 3 * HOUR)
    assert (done.how, done.why) == ("full", "the table holds no running sums yet")
    build.check(BASE + 3 * HOUR)
    _step(build, BASE + 4 * HOUR)


def test_having_recomputes_the_keys(tmp_path: Path) -> None:
    view = FeatureView(
        "some",
        "select k, sum(x) as s from events where ts > now() - interval '6' hour group by k "
        "having count(*) > 1",
        ("k",),
    )
    build = Build(tmp_path, view, (EVENTS,))
    assert build.plan.deltas is None
    build.append(EVENTS, [_event("a", BASE), _event("b", BASE), _event("b", BASE)])
    build.advance(BASE)
    build.append(EVENTS, [_event("a", BASE)])
    assert build.advance(BASE + HOUR).why == "keys touched are recomputed"
    build.check(BASE + HOUR)


@pytest.mark.parametrize(
    "sql",
    [
        "select k, sum(f) as s from events group by k",
        "select k, min(x) as s from events group by k",
        "select k, count(distinct x) as s from events group by k",
        "select e.k, sum(e.x) as s from events e join events g on g.k = e.k group by e.k",
        "select d.k, count(e.x) as s from dims d left join events e on e.k = d.k group by d.k",
        "select k, sum(case when ts > now() - interval '1' day then x end) as s from events group by k",
        "select k, x, ts from events",
    ],
)
def test_what_takes_no_deltas(sql: str) -> None:
    view = FeatureView("v", sql, ("k",), event_time="ts" if "x, ts" in sql else None)
    assert compile_view(view, (EVENTS, DIMS)).deltas() is None


def test_the_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    view, leaves = VIEWS["arrival"]
    compiled = compile_view(view, leaves)
    steps = compiled.stored_queries()
    assert steps.touched is not None
    texts = {"create": steps.create, "step": steps.step, "touched": steps.touched}
    home = plan_folder(tmp_path, "v")
    home.mkdir(parents=True)
    files = plan_files({**texts, "features": "select 1"}, compiled.deltas())
    for name, text in files.items():
        (home / name).write_text(text + "\n")
    written, read = compiled.deltas(), read_plan(tmp_path, "v").deltas
    assert written is not None and read is not None
    assert (read.edges, read.sums, read.leaf) == (written.edges, written.sums, written.leaf)
    assert read.fold.strip() == written.fold.strip()
    (home / "deltas.json").unlink()
    plan = read_plan(tmp_path, "v")
    assert plan.deltas is None and plan.touched == f"{steps.touched}\n"


def test_commits_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("write_rows", "feature_tables.change_rows", "feature_tables.clean_files"):
        monkeypatch.setattr(f"lakehouse.{module}.MOST_SNAPSHOTS", 4)
    build = _build("unbounded", tmp_path)
    for step in range(9):
        build.append(EVENTS, [_event("a", BASE + step * HOUR, step)])
        build.advance(BASE + step * HOUR)
    build.check(BASE + 8 * HOUR)
    latest, log = (
        load_table(build.lake, t) for t in (build.entry.table, build.entry.history_table)
    )
    assert len(latest.metadata.snapshots) <= 5 and len(log.metadata.snapshots) <= 5
    assert len(log.scan().to_arrow()) == 8  # the first build comes before its first row counts
    current = latest.current_snapshot()
    assert current is not None and len(current.manifests(latest.io)) == 2


def test_a_build_that_was_overtaken_fails_and_changes_nothing(tmp_path: Path) -> None:
    build = _build("event", tmp_path)
    build.append(EVENTS, [_event("a", BASE)])
    build.advance(BASE)
    build.append(EVENTS, [_event("a", BASE + QUARTER), _event("b", BASE + HOUR)])

    def overtake(sql: str) -> None:
        if "forebay_changes" in sql and build.spy is not None:
            build.spy = None
            build.advance(BASE + HOUR)

    for at in (BASE + QUARTER, BASE + 2 * HOUR):  # with changes of its own, and without any
        build.spy = overtake
        with pytest.raises(DataError, match="another build committed first"):
            build.advance(at)
        build.check(BASE + HOUR)
        build.append(EVENTS, [_event("c", BASE + 3 * HOUR)])
        build.plan = replace(build.plan)
        if at == BASE + QUARTER:
            build.advance(BASE, full_refresh=True)
    _step(build, BASE + 3 * HOUR)


def test_a_leaf_of_a_dotted_name_is_told_apart_from_its_new_rows() -> None:
    leaf = replace(EVENTS, name='"db"."raw"."events"')
    sql = 'select k, sum(x) as s, max(x) as m from "db"."raw"."events" group by k'
    steps = compile_view(FeatureView("v", sql, ("k",)), (leaf,)).stored_queries()
    assert steps.touched is not None and "forebay_added_db_raw_events" in steps.touched
    summed = FeatureView("v", sql.replace(", max(x) as m", ""), ("k",))
    deltas = compile_view(summed, (leaf,)).deltas()
    assert deltas is not None and '"db"' not in deltas.deltas
