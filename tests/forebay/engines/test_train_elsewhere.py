"""`forebay train` on Trino and Spark: the rows of the embedded engine, and nothing left behind."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from lakehouse.engines.scratch import Scratch, drop_dead
from tests.forebay.engines.conftest import SharedProject
from tests.forebay.engines.edges import write_spine

#: A loaded machine plans a large statement for a minute.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _differences(one: Path, other: Path) -> list[object]:
    """Columns that differ, or values by spine row; floats may by the order of their addition."""
    with duckdb.connect() as connection:
        sides = [connection.sql(f"from '{path}' order by big") for path in (one, other)]
        found: list[object] = []
        if sides[0].types != sides[1].types or sides[0].columns != sides[1].columns:
            return [sides[0].description, sides[1].description]
        for left, right in zip(*(side.fetchall() for side in sides), strict=True):
            pairs = zip(sides[0].columns, left, right, strict=True)
            found += [(left[3], *pair) for pair in pairs if not _same(*pair[1:])]
    return found


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9) or (math.isnan(left) and math.isnan(right))
    return left == right


def _shown(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows to compare: NaN is NaN, and the name of a zone is not part of an instant."""
    return sorted(
        repr([v.astimezone(UTC) if isinstance(v, datetime) and v.tzinfo else v for v in row])
        for row in rows
    )


def test_a_file_gives_what_duckdb_gives(shared: SharedProject, tmp_path: Path) -> None:
    spine = write_spine(tmp_path / "spine.parquet")
    for engine in ("duckdb", shared.engine):
        out = str(tmp_path / f"{engine}.parquet")
        said = shared.run("train", "edges", "--spine", str(spine), "--out", out, "--engine", engine)
        assert "80 rows" in said
    assert _differences(tmp_path / f"{shared.engine}.parquet", tmp_path / "duckdb.parquet") == []
    assert shared.scratch() == []


def test_a_lag_is_kept(shared: SharedProject, tmp_path: Path) -> None:
    spine = write_spine(tmp_path / "spine.csv.parquet", 30)
    for engine in ("duckdb", shared.engine):
        options = ("--engine", engine, "--lag", "3 days")
        out = str(tmp_path / f"{engine}.parquet")
        shared.run("train", "small", "--spine", str(spine), "--out", out, *options)
    assert _differences(tmp_path / f"{shared.engine}.parquet", tmp_path / "duckdb.parquet") == []


def test_tables_and_queries_are_spines(shared: SharedProject, tmp_path: Path) -> None:
    source = write_spine(tmp_path / "spine.parquet", 30)
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select k, event_timestamp, \"Label\" as label from '{source}') "
            f"to '{tmp_path / 'flat.parquet'}'"
        )
    shared.run("ingest", "ml.labels", str(tmp_path / "flat.parquet"))
    query = (
        f"select k, event_timestamp, cast(label as smallint) as label "
        f"from {shared.catalog}.ml.labels where label = 1;"
    )
    rows = {}
    for name, spine in (("table", "ml.labels"), ("query", query)):
        out = tmp_path / f"{name}.parquet"
        shared.run("train", "small", "--spine", spine, "--out", str(out), "--engine", shared.engine)
        with duckdb.connect() as connection:
            rows[name] = connection.execute(f"select * from '{out}' order by all").fetchall()
    assert len(rows["table"]) == 30
    assert rows["query"] == [row for row in rows["table"] if row[2] == 1]
    printed = shared.run(
        "sql", "small", "--spine", "ml.labels", "--engine", shared.engine, "--pinned"
    )
    assert "VERSION AS OF" in printed.upper() or "WHERE FALSE" in printed.upper()
    engine = shared.connect()
    pasted = engine.run(printed)
    engine.close()
    assert _shown(pasted) == _shown(rows["table"])
    assert shared.scratch() == []


def test_what_a_dead_run_left_is_dropped(on_trino: SharedProject) -> None:
    """Of runs of this machine whose process is gone, and of others whose lease has run out."""
    lake, engine = on_trino.open_lake(), on_trino.connect()
    live, dead = Scratch(lake), Scratch(lake)
    machine, pid, since, end = dead.run.split("_")[1:]
    dead.run = f"run_{machine}_{pid}_{int(since) + 1}_{end}"
    elsewhere, expired = Scratch(lake), Scratch(lake)
    elsewhere.run = f"run_00000000_{pid}_{since}_{end}"
    expired.run = f"run_11111111_{pid}_{since}_{end}"
    for scratch in (live, dead, elsewhere, expired):
        scratch.open()
    engine.run(f"create table {engine.names.table(dead.name('answer'))} as select 1 as one")
    table = lake.load_table(expired.name("lease"))
    with table.transaction() as change:
        change.set_properties({"forebay.renewed_at": "1700000000"})
    assert sorted(drop_dead(lake, engine)) == sorted([dead.run, expired.run])
    assert {n.rpartition("_")[0] for n in on_trino.scratch()} == {live.run, elsewhere.run}
    for scratch in (live, elsewhere):
        scratch.drop_all(engine)
    assert on_trino.scratch() == []
    engine.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_on_trino(on_trino: SharedProject, how: signal.Signals) -> None:
    """Ctrl-C ends the query and drops the tables; after a kill the next run does both."""
    slow = (
        "select 'a' as k, timestamp '2024-01-09 00:00:00 UTC' as event_timestamp, count(*) as n "
        "from unnest(sequence(1, 10000)) as a(i), unnest(sequence(1, 10000)) as b(i), "
        "unnest(sequence(1, 1000)) as c(i) where a.i + b.i > c.i"
    )
    process = on_trino.start("train", "small", "--spine", slow, "--engine", "trino")
    engine = on_trino.connect()
    running = (
        "select source from system.runtime.queries where state = 'RUNNING' and source like 'forebay run_%' "
        "and query like '%sequence(1, 10000)%'"
    )
    deadline = time.monotonic() + 200
    while not engine.run(running) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.5)
    os.kill(process.pid, how)
    process.communicate()
    assert process.returncode != 0
    if how == signal.SIGKILL:
        assert on_trino.scratch()
        drop_dead(on_trino.open_lake(), engine)
    time.sleep(1)
    assert engine.run(running) == []
    assert on_trino.scratch() == []
    engine.close()


def test_a_catalog_over_another_lake_is_refused(on_trino: SharedProject, tmp_path: Path) -> None:
    spine = write_spine(tmp_path / "spine.parquet", 5)
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    text = (on_trino.root / "profiles" / "profiles.yml").read_text()
    changed = text.replace(f"database: {on_trino.catalog}", "database: memory")
    (profiles / "profiles.yml").write_text(changed)
    out = str(tmp_path / "x.parquet")
    words = ("train", "small", "--spine", str(spine), "--engine", "trino", "--out", out)
    process = on_trino.start(*words, env={"DBT_PROFILES_DIR": str(profiles)})
    said, _ = process.communicate()
    assert process.returncode == 2
    assert "must name the Trino catalog over this project's lake" in said
    assert not (tmp_path / "x.parquet").exists()
    assert on_trino.scratch() == []
