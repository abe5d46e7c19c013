"""Feature tables that are changed in place: found by the index, cleaned up, read as any table."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import LongType

from feature_specs.errors import DataError
from feature_specs.view import FeatureView
from lakehouse.count_rows import count_rows
from lakehouse.feature_tables import clean_files, materialize
from lakehouse.feature_tables.key_index import find_rows
from lakehouse.lake import load_table
from lakehouse.local_path import local_path
from lakehouse.scan import pin
from tests.feature_specs.oracle import Row, connect
from tests.feature_specs.worlds import BASE, DIMS, EVENTS, QUARTER
from tests.lakehouse.builds import HOUR, Build
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow

SUMS = FeatureView("sums", "select k, count(*) as n, sum(x) as s from events group by k", ("k",))


@pytest.fixture(autouse=True)
def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are changed in place too."""
    monkeypatch.setattr(materialize, "WRITTEN_ANEW", -1)


def _event(k: str, x: int = 1) -> Row:
    return (k, 1, BASE, BASE, x, Decimal("0.10"), 1.5, "p", True)


def _built(folder: Path, keys: int = 50) -> Build:
    build = Build(folder, SUMS, (EVENTS,))
    build.append(EVENTS, [_event(f"k{n}") for n in range(keys)])
    build.advance(BASE + HOUR)
    return build


def _step(build: Build, number: int, *keys: str) -> None:
    build.append(EVENTS, [_event(k, number) for k in keys])
    at = BASE + HOUR + number * QUARTER
    assert build.advance(at).how == "step"
    build.check(at)


def test_a_step_adds_the_rows_that_changed_and_deletes_their_old_places(tmp_path: Path) -> None:
    build = _built(tmp_path)
    _step(build, 1, "k1", "k2", "new")
    latest = load_table(build.lake, build.entry.table)
    stands = pin(latest)
    assert sorted(e.data_file.record_count for e in stands.files) == [3, 50]
    assert [e.data_file.record_count for e in stands.deletes] == [2]
    assert count_rows(latest) == read_arrow(latest).num_rows == 51


def test_dead_rows_and_small_files_are_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_files, "FAN", 3)
    build = _built(tmp_path)
    for number in range(1, 12):
        _step(build, number, *(f"k{(number * 7 + n) % 50}" for n in range(8)), f"new{number}")
    stands = pin(load_table(build.lake, build.entry.table))
    dead = sum(int(e.data_file.record_count) for e in stands.deletes)
    held = sum(int(e.data_file.record_count) for e in stands.files)
    assert len(stands.files) < 9 and len(stands.deletes) < 9
    assert held < 2 * 61 and dead < 2 * 61
    operations = {s.summary.operation for s in stands.table.snapshots() if s.summary}
    assert Operation.REPLACE in operations


def test_a_lost_or_broken_index_is_made_again(tmp_path: Path) -> None:
    build = _built(tmp_path)
    _step(build, 1, "k1")
    index = Path(local_path(load_table(build.lake, build.entry.table).location())) / "index"
    assert list(index.glob("*.arrow"))
    shutil.rmtree(index)
    _step(build, 2, "k1", "k3")
    for path in index.glob("*.arrow"):
        path.unlink()
        path.write_bytes(b"no index")
    _step(build, 3, "k3", "k4")


def test_rows_that_another_engine_compacted_are_found(tmp_path: Path) -> None:
    build = _built(tmp_path)
    _step(build, 1, "k1", "k2")
    latest = load_table(build.lake, build.entry.table)
    latest.overwrite(read_arrow(latest))
    _step(build, 2, "k2", "k3")


def test_of_two_steps_at_once_one_fails_and_leaves_nothing(tmp_path: Path) -> None:
    build = _built(tmp_path)
    build.append(EVENTS, [_event("k1", 5)])
    at = BASE + HOUR + QUARTER

    def overtake(sql: str) -> None:
        if "forebay_touched as" in sql and build.spy is not None:
            build.spy = None
            assert build.advance(at).how == "step"

    build.spy = overtake
    with pytest.raises(DataError, match="another build committed first"):
        build.advance(at)
    build.check(at)
    _step(build, 3, "k1", "k2")


def test_an_entity_that_goes_is_deleted_in_place(tmp_path: Path) -> None:
    sql = "select k, count(*) as n from events where ts > now() - interval '2' hour group by k"
    build = Build(tmp_path, FeatureView("sums", sql, ("k",)), (EVENTS,))
    build.append(EVENTS, [_event("a"), _event("b")])
    build.advance(BASE + HOUR)
    done = build.advance(BASE + timedelta(hours=3))
    assert (done.how, done.deletes, done.rows) == ("step", 2, 0)
    build.check(BASE + timedelta(hours=3))


def test_a_key_that_has_become_wider_than_the_tables_is_found(tmp_path: Path) -> None:
    sql = "select j, count(*) as n, sum(x) as s from events where ts <= now() group by j"
    build = Build(tmp_path, FeatureView("sums", sql, ("j",)), (EVENTS,))
    build.plan = replace(build.plan, deltas=None)
    build.append(EVENTS, [("a", n, *_event("a")[2:]) for n in range(5)])
    build.advance(BASE + HOUR)
    with load_table(build.lake, "raw.events").update_schema() as change:
        change.update_column("j", LongType())
    leaf = load_table(build.lake, "raw.events")
    wide = schema_to_pyarrow(leaf.schema())
    rows = [("a", j, *_event("a")[2:]) for j in (3, 3_000_000_000)]
    columns = zip(*rows, strict=True)
    leaf.append(
        pa.table([pa.array(list(c), f.type) for c, f in zip(columns, wide, strict=True)], wide)
    )
    done = build.advance(BASE + 2 * HOUR)
    assert (done.how, done.why) == ("step", "keys touched are recomputed")
    latest = read_arrow(load_table(build.lake, build.entry.table))
    found = dict(zip(latest["j"].to_pylist(), latest["n"].to_pylist(), strict=True))
    assert found == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 3_000_000_000: 1}


def test_values_that_another_engine_has_made_wider_are_indexed_anew(tmp_path: Path) -> None:
    build = _built(tmp_path)
    _step(build, 1, "k1", "k2")
    pinned = pin(load_table(build.lake, build.entry.table))
    connection = connect()
    connection.execute("create table touched as select 'k2' as k")
    find_rows(connection, pinned, ["k"], "touched", "found")
    whole = pinned.table.schema()
    with pinned.table.update_schema() as change:
        change.add_column("later", LongType())
    find_rows(connection, pin(pinned.table), ["k"], "touched", "found")
    assert connection.execute("select k, n, later from found").fetchall() == [("k2", 2, None)]
    assert len(pinned.table.schema().fields) == len(whole.fields) + 1


def test_rows_that_the_query_leaves_out_break_no_build(tmp_path: Path) -> None:
    sql = (
        "select q.k, count(*) as n from (select k, s::int as v from (select k, s, row_number() over "
        "(partition by k order by ts, x) as r from events) as ranked where r = 1) as q "
        "join dims as d on d.weight = q.v group by q.k"
    )
    build = Build(tmp_path, FeatureView("sums", sql, ("k",)), (EVENTS, DIMS))
    build.append(DIMS, [("a", "north", 7)])
    build.append(EVENTS, [(*_event("a")[:7], "7", True)])
    build.advance(BASE + HOUR)
    build.append(EVENTS, [_event("a", 2), (*_event("b")[:7], "7", True)])
    done = build.advance(BASE + 2 * HOUR)
    assert done.how == "full" and "broke the step" in done.why
    build.check(BASE + 2 * HOUR)
