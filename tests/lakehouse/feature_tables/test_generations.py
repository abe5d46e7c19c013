"""Rows of a view's earlier definition are kept, and switched back to without computing them anew."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyiceberg.table import Table

from feature_specs.catalog import Catalog
from feature_specs.compile import compile_view
from feature_specs.view import FeatureView
from forebay.streaming.built_views import kept_snapshots
from lakehouse.feature_tables import generations
from lakehouse.feature_tables.generations import (
    KEPT_S,
    find_generation,
    kept_generations,
    resume_point,
)
from lakehouse.lake import load_table, read_state
from lakehouse.maintain.expire_snapshots import Pins, choose_expired, expire_snapshots
from lakehouse.maintain.pinned import pins_of_tables
from lakehouse.scan import Pinned, pin, under_schema
from tests.feature_specs.oracle import Oracle
from tests.feature_specs.oracle import connect as connect_oracle
from tests.feature_specs.worlds import BASE, EVENTS, LATE, make_rows
from tests.lakehouse.builds import HOUR, Build, entry_of, random_batch

pytestmark = pytest.mark.slow

FIRST = FeatureView(
    "windows",
    "select k, count(*) as n, sum(x) as sx, max(d) as hi from events "
    "where ts > now() - interval '6' hour group by k",
    ("k",),
)
#: Another window, one column less, one more, and one of another type.
SECOND = FeatureView(
    "windows",
    "select k, count(*) as n, min(d) as lo, sum(x)::double as sx_double from events "
    "where ts > now() - interval '1' hour group by k",
    ("k",),
)
#: The same columns as the first: the log gains what differs alone.
ALIKE = FeatureView("windows", FIRST.sql.replace("'6'", "'5'"), ("k",))


def define(build: Build, view: FeatureView) -> None:
    """Let the view mean something else from now on."""
    build.view = view
    build.oracle = Oracle(view, build.leaves, view.sql)
    for leaf in build.leaves:
        build.oracle.load(leaf, build.rows[leaf.name])
    build.compiled = compile_view(view, build.leaves)
    build.entry, build.plan = entry_of(build.compiled)


def table_of(build: Build) -> Table:
    return load_table(build.lake, build.entry.table)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    build = Build(tmp_path, FIRST, (LATE,))
    build.append(LATE, make_rows(EVENTS, 1))
    build.advance(BASE)
    build.check(BASE)
    return build


@pytest.mark.parametrize("other", [SECOND, ALIKE], ids=["columns", "alike"])
def test_there_and_back_without_computing(build: Build, other: FeatureView) -> None:
    first = table_of(build).current_snapshot()
    define(build, other)
    assert build.advance(BASE).how == "full"
    build.check(BASE)
    second = table_of(build).current_snapshot()
    define(build, FIRST)
    done = build.advance(BASE)
    assert (done.how, done.upserts, done.deletes) == ("nothing", 0, 0)
    assert any("current again" in note for note in done.notes)
    build.check(BASE)
    assert table_of(build).current_snapshot() == first
    # And forth: the second definition's rows were kept in turn.
    define(build, other)
    assert build.advance(BASE).how == "nothing"
    build.check(BASE)
    assert table_of(build).current_snapshot() == second
    (kept,) = kept_generations(table_of(build))
    assert first is not None and kept.snapshot == first.snapshot_id


@pytest.mark.parametrize("other", [SECOND, ALIKE], ids=["columns", "alike"])
def test_rows_that_came_meanwhile_are_stepped_over(build: Build, other: FeatureView) -> None:
    rng = random.Random(7)
    define(build, other)
    at = BASE
    for _ in range(3):
        at += HOUR
        build.append(LATE, random_batch(rng, at, build.rows["events"]))
        build.advance(at)
        build.check(at)
    define(build, FIRST)
    assert build.advance(at).how == "step"
    build.check(at)
    for _ in range(2):
        at += HOUR
        build.append(LATE, random_batch(rng, at, build.rows["events"]))
        build.advance(at)
        build.check(at)


@pytest.mark.parametrize("commit", ["_restore", "_log_difference"])
def test_a_switch_that_is_killed_is_finished_by_the_next(
    build: Build, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(build, SECOND)
    build.advance(BASE)
    define(build, FIRST)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generations, commit, die)
        with pytest.raises(KeyboardInterrupt):
            build.advance(BASE)
    # Readers of the table see the second definition's rows, as before.
    state = read_state(table_of(build))
    assert state is not None and state.semantic_hash != build.entry.semantic_hash
    assert build.advance(BASE).how == "nothing"
    build.check(BASE)


def test_a_build_that_was_cut_short_is_left_behind(build: Build) -> None:
    """Its log is of the second definition, its rows still of the first."""
    define(build, SECOND)
    before = table_of(build)
    build.advance(BASE)
    build.lake.drop_table(build.entry.table)
    build.lake.register_table(build.entry.table, before.metadata_location)
    define(build, FIRST)
    build.advance(BASE)
    build.check(BASE)


def test_a_stream_keeps_the_snapshots_from_which_an_earlier_definition_goes_on(
    build: Build,
) -> None:
    first = _heads(build)
    define(build, SECOND)
    build.append(LATE, random_batch(random.Random(3), BASE, build.rows["events"]))
    build.advance(BASE)
    second = _heads(build)
    assert first != second
    where = {
        "name": "lake",
        "uri": f"sqlite:///{build.folder}/catalog.db",
        "warehouse": str(build.folder / "warehouse"),
    }
    assert kept_snapshots(Catalog("p", where, ""), [build.entry]) == {first, second}


def _heads(build: Build) -> int:
    """The snapshot of the one leaf."""
    head = load_table(build.lake, "raw.events").current_snapshot()
    assert head is not None
    return head.snapshot_id


def test_a_tag_keeps_the_rows_readable_for_a_day(build: Build) -> None:
    old = table_of(build)
    before = rows_of(pin(old))
    define(build, SECOND)
    build.advance(BASE)
    kept = find_generation(table_of(build), read_hash(old))
    assert kept is not None
    ref = table_of(build).metadata.refs[kept.tag]
    assert ref.snapshot_id == kept.snapshot and ref.snapshot_ref_type == "tag"
    assert rows_of(Pinned(under_schema(table_of(build), kept.schema), kept.snapshot)) == before
    # `maintain` an hour short of the day leaves it, and takes it after: its tag and its snapshot.
    taken = datetime.fromtimestamp(kept.since / 1e6, UTC)
    day = timedelta(seconds=KEPT_S)
    pins = pins_of_tables([table_of(build)])
    for wait, left in ((day - HOUR, [kept]), (day + HOUR, [])):
        expire_snapshots(table_of(build), pins, taken + wait, HOUR)
        assert kept_generations(table_of(build)) == left
        assert (kept.tag in table_of(build).metadata.refs) is bool(left)
        assert (table_of(build).snapshot_by_id(kept.snapshot) is not None) is bool(left)
    # It is computed anew then.
    define(build, FIRST)
    assert build.advance(BASE).how == "full"
    build.check(BASE)


def test_what_it_steps_on_from_is_pinned(build: Build) -> None:
    define(build, SECOND)
    build.advance(BASE)
    (kept,) = kept_generations(table_of(build))
    wanted = {s for s in kept.state.snapshots.values() if s is not None}
    assert wanted and wanted <= pins_of_tables([table_of(build)]).onward


def test_age_is_counted_from_the_snapshot_as_iceberg_does(build: Build) -> None:
    define(build, SECOND)
    build.advance(BASE)
    table = table_of(build)
    (kept,) = kept_generations(table)
    made = table.snapshot_by_id(kept.snapshot)
    age = table.metadata.refs[kept.tag].max_ref_age_ms
    assert made is not None and age is not None
    assert made.timestamp_ms + age == pytest.approx(kept.until / 1000, abs=2)
    assert choose_expired(table, Pins(), datetime.fromtimestamp(kept.until / 1e6 + 1, UTC), HOUR)


def test_a_plan_says_what_the_build_does(build: Build) -> None:
    define(build, SECOND)
    build.advance(BASE)
    define(build, FIRST)
    history = load_table(build.lake, build.entry.history_table)
    table, state = resume_point(table_of(build), read_state(history), build.entry)
    assert state is not None and state.semantic_hash == build.entry.semantic_hash
    assert table is not None and read_state(table) == state
    build.advance(BASE)
    assert read_state(table_of(build)) == state


def read_hash(table: Table) -> str:
    state = read_state(table)
    assert state is not None
    return state.semantic_hash


def rows_of(pinned: Pinned) -> list[tuple[object, ...]]:
    return connect_oracle().execute(f"select * from ({pinned.sql}) order by all").fetchall()
