"""Feature tables stepped by DuckDB, Trino and Spark in turn: always F(D, T), with the same state."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from feature_specs.errors import DataError, ForebayError
from feature_specs.leaf import Leaf
from feature_specs.view import FeatureView
from lakehouse.engines import pinned_relations
from lakehouse.engines.compute_there import RowsOnEngine
from lakehouse.engines.engine_run import EngineRun
from lakehouse.feature_tables import materialize
from lakehouse.feature_tables.compute_rows import RowComputer, RowTask
from lakehouse.feature_tables.materialize import Advance
from lakehouse.lake import load_table
from tests.feature_specs.worlds import BASE, DIMS, EVENTS, LATE, QUARTER, US, make_rows
from tests.lakehouse.builds import HISTORY, HOUR, Build, random_batch
from tests.lakehouse.engines.conftest import SharedLake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

VIEWS: dict[str, tuple[FeatureView, tuple[Leaf, ...], bool]] = {
    "sums": (  # takes deltas
        FeatureView(
            "sums",
            "select k, count(*) as n, sum(x) as sx, avg(d) as ad, stddev(x) as dev, "
            "sum(d) filter (where ts >= now() - interval '2' hour and ok) as s2 from events "
            "where ts > now() - interval '6' hour group by k",
            ("k",),
            boundary="exclusive",
        ),
        (LATE,),
        False,
    ),
    "keys": (  # recomputes the keys touched
        FeatureView(
            "keys",
            "select e.k, e.j, count(*) as n, sum(f) as sf, max(s) as hi, sum(e.x * d.weight) as w, "
            "min(f) filter (where ts >= now() - interval '6' hour) as lo from events e "
            "left join dims d on d.k = e.k group by e.k, e.j having count(*) > 1",
            ("k", "j"),
        ),
        (EVENTS, DIMS),
        False,
    ),
    "history": (HISTORY, (LATE,), True),
}  # fmt: skip


def _build(name: str, lake: SharedLake, folder: Path) -> Build:
    view, leaves, visible = VIEWS[name]
    build = Build(folder, view, leaves, visible=visible, where=lake.where)
    if DIMS in leaves:
        build.append(DIMS, make_rows(DIMS, 0))
    return build


def _advance(build: Build, lake: SharedLake, engine: str, at: datetime) -> Advance:
    if engine == "duckdb":
        return build.advance(at)
    with EngineRun(build.lake, lake.connect[engine]) as run:
        return build.advance(at, compute=partial(RowsOnEngine, run))


def _left(build: Build) -> Sequence[object]:
    return build.lake.list_tables("forebay_scratch")


@pytest.mark.parametrize(
    ("name", "written"),
    [("sums", "in place"), ("keys", "in place"), ("keys", "anew"), ("history", "anew")],
)
def test_engines_take_turns(
    name: str,
    written: str,
    shared_lake: SharedLake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if written == "in place":
        monkeypatch.setattr(materialize, "WRITTEN_ANEW", -1)
    rng = random.Random(f"{name} {written}")
    build = _build(name, shared_lake, tmp_path)
    # Spark is the slowest by far.
    turns = ["trino", "duckdb", "trino", "duckdb", "trino"]
    if (name, written) != ("keys", "anew"):
        turns = ["trino", "spark", "duckdb", "trino"]
    at, hows = BASE, []
    for engine in turns:
        build.append(EVENTS, [*random_batch(rng, at, build.rows["events"]), *_few(rng, at)])
        at += rng.choice([timedelta(), US, QUARTER, HOUR, 6 * HOUR, 30 * HOUR])
        done = _advance(build, shared_lake, engine, at)
        build.check(at)
        assert _advance(build, shared_lake, engine, at).how == "nothing"
        hows.append(done.how)
        assert done.refused == ""
    assert hows == ["full"] + ["step"] * (len(turns) - 1)
    assert _left(build) == []


def _few(rng: random.Random, at: datetime) -> list[tuple[object, ...]]:
    """Rows of the present and of a while ago, so that each step has some."""
    pool = make_rows(EVENTS, rng.randrange(5))
    rows = [list(rng.choice(pool)) for _ in range(3)]
    for row in rows:
        row[0], row[1] = rng.choice("abc"), 1
        row[2] = row[3] = at - rng.choice([timedelta(), QUARTER, 5 * HOUR])
    return [tuple(row) for row in rows]


def test_a_build_that_was_overtaken_fails_and_leaves_nothing(
    shared_lake: SharedLake, tmp_path: Path
) -> None:
    build = _build("keys", shared_lake, tmp_path)
    build.append(EVENTS, _few(random.Random(0), BASE))
    _advance(build, shared_lake, "duckdb", BASE)
    build.append(EVENTS, _few(random.Random(1), BASE + HOUR))

    def overtaken(run: EngineRun, asked: RowTask) -> RowComputer:
        build.advance(BASE + QUARTER)
        return RowsOnEngine(run, asked)

    with (
        pytest.raises(DataError, match="another build committed first"),
        EngineRun(build.lake, shared_lake.connect["trino"]) as run,
    ):
        build.advance(BASE + HOUR, compute=partial(overtaken, run))
    build.check(BASE + QUARTER)
    assert _left(build) == []
    assert _advance(build, shared_lake, "trino", BASE + HOUR).how == "step"
    build.check(BASE + HOUR)


def test_files_that_were_rewritten_since_are_read_as_they_came(
    shared_lake: SharedLake, tmp_path: Path
) -> None:
    """Trino's compaction changes no row, so the step is taken, over files that are gone now."""
    build = _build("sums", shared_lake, tmp_path)
    rng = random.Random(3)
    build.append(EVENTS, _few(rng, BASE))
    _advance(build, shared_lake, "trino", BASE)
    for hour in (1, 2):
        build.append(EVENTS, _few(rng, BASE + hour * HOUR))
    trino = shared_lake.connect["trino"]("tests")
    trino.run(f"alter table {trino.names.table('raw.events')} execute optimize")
    trino.close()
    build.append(EVENTS, _few(rng, BASE + 3 * HOUR))
    assert len(list(load_table(build.lake, "raw.events").scan().plan_files())) == 2
    done = _advance(build, shared_lake, "trino", BASE + 3 * HOUR)
    assert (done.how, done.refused) == ("step", "")
    build.check(BASE + 3 * HOUR)


def test_rows_that_an_engine_does_not_find_refuse_the_step(
    shared_lake: SharedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that spells files otherwise than the table's manifests would lose rows."""
    build = _build("sums", shared_lake, tmp_path)
    rng = random.Random(4)
    build.append(EVENTS, _few(rng, BASE))
    _advance(build, shared_lake, "trino", BASE)
    build.append(EVENTS, _few(rng, BASE + HOUR))
    monkeypatch.setitem(pinned_relations._FILE, "trino", "replace(\"$path\", 'file:', 'other:')")
    done = _advance(build, shared_lake, "trino", BASE + HOUR)
    assert done.how == "full" and "trino finds 0 of the 3 rows that came" in done.refused
    build.check(BASE + HOUR)


def test_what_an_engine_cannot_compute_is_refused_by_name(
    shared_lake: SharedLake, tmp_path: Path
) -> None:
    sql = "select k, max(jaro_similarity(s, 'p')) as m from events group by k"
    view = FeatureView("odd", sql, ("k",))
    build = Build(tmp_path, view, (EVENTS,), where=shared_lake.where)
    build.append(EVENTS, _few(random.Random(0), BASE))
    with pytest.raises(ForebayError, match=r"trino cannot compute it: .*jaro_similarity"):
        _advance(build, shared_lake, "trino", BASE)
    assert _left(build) == []
    build.advance(BASE)
    build.check(BASE)
