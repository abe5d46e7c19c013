"""State built by any sequence of steps equals F(D, T), over real Iceberg tables."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from feature_specs.catalog import Column, Feature, ViewEntry
from feature_specs.compile import CompiledView, compile_view
from feature_specs.errors import DataError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.commit import commit_rows
from lakehouse.describe import TypeOracle
from lakehouse.lake import STATE_PROPERTY, load_table, open_lake, read_arrow, read_state
from lakehouse.materialize import Advance, advance_view
from lakehouse.plans import ViewPlan
from lakehouse.scan import define_view, pin
from tests.feature_specs.oracle import Oracle, Row, add, connect, differences, literal, magnitude
from tests.feature_specs.worlds import BASE, DIMS, EVENTS, LATE, QUARTER, US, make_rows

HOUR = timedelta(hours=1)

_ARROW = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DECIMAL(12,2)": pa.decimal128(12, 2),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}


def entry_of(compiled: CompiledView) -> tuple[ViewEntry, ViewPlan]:
    """What `forebay compile` makes of a view, as the materialization takes it."""
    stored, features = TypeOracle().describe(compiled)
    view = compiled.draft.view
    steps = compiled.stored_queries()
    entry = ViewEntry(
        name=compiled.name,
        unique_id=f"model.test.{compiled.name}",
        file=f"models/{compiled.name}.sql",
        semantic_hash=compiled.semantic_hash,
        entities=tuple(Column(k, stored[k]) for k in view.entities),
        stored=tuple(Column(n, stored[n]) for n in compiled.draft.stored_names),
        features=tuple(Feature(f.name, features[f.name]) for f in compiled.features),
        event_time=view.event_time,
        ttl_us=None if view.ttl is None else view.ttl // US,
        freshness_us=None,
        on_stale="serve",
        table=f"features.{compiled.name}",
        history_table=f"features.{compiled.name}__history",
        leaves=tuple(leaf.name for leaf in compiled.leaves),
        lowering=compiled.choice.lowering,
    )
    plan = ViewPlan(
        create=steps.create,
        touched=steps.touched,
        step=steps.step,
        features=compiled.features_over("forebay_stored"),
        deltas=compiled.deltas(),
    )
    return entry, plan


@dataclass
class Build:
    """A lake with one view's leaves and tables, and the oracle over the same rows."""

    folder: Path
    view: FeatureView
    leaves: Sequence[Leaf]
    visible: bool = False
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lake = open_lake(
            {
                "name": "lake",
                "uri": f"sqlite:///{self.folder}/catalog.db",
                "warehouse": str(self.folder / "warehouse"),
            }
        )
        self.oracle = Oracle(self.view, self.leaves, self.view.sql, visible=self.visible)
        self.compiled = compile_view(self.view, self.leaves)
        self.entry, self.plan = entry_of(self.compiled)
        for leaf in self.leaves:
            self.rows[leaf.name] = []
            self.oracle.load(leaf, [])
            self.append(leaf, [])

    def append(self, leaf: Leaf, rows: Sequence[Row]) -> None:
        """Commit rows to a leaf; an empty batch is a commit too."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(leaf.columns)
        table = pa.table(
            {
                name: pa.array(list(values), _ARROW[kind])
                for (name, kind), values in zip(leaf.columns.items(), columns, strict=True)
            }
        )
        commit_rows(self.lake, f"raw.{leaf.name}", table, mode="append")
        add(self.oracle.connection, f"raw_{leaf.name}", leaf.columns, rows)
        self.rows[leaf.name] += rows

    def advance(self, at: datetime, *, full_refresh: bool = False) -> Advance:
        connection = connect()
        pinned = {leaf.name: pin(load_table(self.lake, f"raw.{leaf.name}")) for leaf in self.leaves}
        for name, table in pinned.items():
            define_view(connection, name, table)
        return advance_view(
            connection, self.lake, self.entry, self.plan, pinned, at, full_refresh=full_refresh
        )

    def check(self, at: datetime) -> None:
        """The table, read at its own instant, is F(D, T); the log folds to the same keys."""
        expected = self.oracle.at(at)
        latest = load_table(self.lake, self.entry.table)
        state = read_state(latest)
        assert state is not None and state == read_state(
            load_table(self.lake, self.entry.history_table)
        )
        connection = connect()
        define_view(connection, "forebay_stored", pin(latest))
        result = connection.execute(self.plan.features.replace("$as_of", literal(at)))
        names = [d[0] for d in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        actual = {tuple(row[e] for e in self.view.entities): row for row in rows}
        assert len(actual) == len(rows)
        assert actual.keys() == expected.keys(), f"at {at}"
        scale = magnitude(list(self.rows.values()))
        for key, features in expected.items():
            given = {n: _as_int(actual[key][n], features[n]) for n in features}
            wrong = differences(given, features, scale)
            assert not wrong, f"at {at}, {key}: (actual, expected) = {wrong}"
        define_view(connection, "log", pin(load_table(self.lake, self.entry.history_table)))
        keys = ", ".join(self.view.entities)
        folded = connection.execute(
            f"select {keys} from (select * from log qualify row_number() over "
            f"(partition by {keys} order by committed_at desc) = 1) where not deleted"
        ).fetchall()
        assert set(folded) == set(expected)

    def lose_second_commit(self, at: datetime) -> None:
        """Advance, then put the latest table back, as if the process had died in between."""
        latest = load_table(self.lake, self.entry.table)
        rows, state = read_arrow(latest), latest.properties[STATE_PROPERTY]
        self.advance(at)
        commit_rows(
            self.lake, self.entry.table, rows, mode="replace", properties={STATE_PROPERTY: state}
        )


def _as_int(value: Any, like: Any) -> Any:
    """Iceberg keeps wide integers as decimals."""
    return int(value) if isinstance(value, Decimal) and isinstance(like, int) else value


def _batch(rng: random.Random, at: datetime, known: Sequence[Row]) -> list[Row]:
    """Rows before, at and after the clock, some seen before, some far out of order."""
    rows: list[Row] = []
    for _ in range(rng.choice([0, 0, 1, 2, 6])):
        ts = at + rng.choice([timedelta(), -US, US, -QUARTER, -HOUR, -20 * HOUR, QUARTER, 2 * HOUR])
        loaded = rng.choice([ts, ts, at, at + HOUR, ts + 7 * HOUR, None])
        pool = make_rows(EVENTS, rng.randrange(5))
        row = list(rng.choice(pool))
        row[2], row[3] = rng.choice([ts] * 9 + [None]), loaded
        rows.append(tuple(row))
    if known and rng.random() < 0.3:
        rows.append(rng.choice(known))
    return rows


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
    "history": (
        FeatureView(
            "history",
            "select k, ts, x, s, f, epoch(now() - ts) as age from events where x is not null",
            ("k",),
            event_time="ts",
            tie_break=("s",),
            ttl=6 * HOUR,
        ),
        (LATE,),
        True,
    ),
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


@pytest.mark.parametrize(
    "name", ["windows", *(pytest.param(n, marks=pytest.mark.slow) for n in VIEWS if n != "windows")]
)
def test_any_sequence_of_steps_leads_to_the_same_rows(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    build = _build(name, tmp_path)
    events = build.leaves[0]
    at, how = BASE, []
    for step in range(30):
        batch = _batch(rng, at, build.rows[events.name])
        moved = rng.choice([timedelta(), timedelta(), US, QUARTER, HOUR, 6 * HOUR])
        if step in (10, 20):  # data without time, then time without data
            batch, moved = (batch or _batch(random.Random(3), at, []), timedelta())
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
