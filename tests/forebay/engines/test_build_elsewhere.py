"""`forebay build --engine`: the tables of the embedded engine, and nothing left behind."""

from __future__ import annotations

import os
import signal
import time

import duckdb
import pytest

from lakehouse.lake import load_table, read_state
from lakehouse.remote.mount_files import mount
from lakehouse.scan import pin
from tests.forebay.engines.conftest import SharedProject
from tests.forebay.engines.test_train_elsewhere import _same

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

_VIEWS = ("sums", "lists", "last_event", "mapped_sums", "none")
_EARLIER, _LATER = "2024-01-12T00:00:00+00:00", "2024-01-14T00:00:00+00:00"


def _tables(project: SharedProject) -> dict[str, list[tuple[object, ...]]]:
    """The rows of each feature table, in order, with the names of its columns before them."""
    lake, found = project.open_lake(), {}
    with duckdb.connect() as connection:
        mount(connection)
        for view in _VIEWS:
            relation = connection.sql(pin(load_table(lake, f"main.{view}")).sql)
            kinds = [tuple(zip(relation.columns, map(str, relation.types), strict=True))]
            found[view] = [*kinds, *relation.order("k").fetchall()]
    return found


def _states(project: SharedProject) -> dict[str, object]:
    lake = project.open_lake()
    return {
        name: read_state(load_table(lake, f"main.{view}{suffix}"))
        for view in _VIEWS
        for suffix in ("", "__history")
        for name in [f"{view}{suffix}"]
    }


def _differences(one: SharedProject, other: dict[str, list[tuple[object, ...]]]) -> list[object]:
    mine = _tables(one)
    assert mine.keys() == other.keys()
    found: list[object] = []
    for view, rows in mine.items():
        if len(rows) != len(other[view]) or rows[0] != other[view][0]:
            found.append((view, rows, other[view]))
        for left, right in zip(rows[1:], other[view][1:], strict=True):
            pairs = zip(left, right, strict=True)
            found += [(view, left[0], *pair) for pair in pairs if not _same(*pair)]
    return found


def test_a_build_gives_the_tables_of_duckdb(shared: SharedProject) -> None:
    """Built there and stepped there: the tables and states that DuckDB makes at once."""
    said = shared.run("build", "--engine", shared.engine, "--now", _EARLIER)
    assert f"sums: full on {shared.engine} 4 upserts" in said
    said = shared.run("build", "--engine", shared.engine, "--now", _LATER)
    assert f"sums: step on {shared.engine}" in said and "in full:" not in said
    tables, states = _tables(shared), _states(shared)
    assert len(tables["sums"]) > 1 and shared.scratch() == []
    shared.run("build", "--full-refresh", "--now", _LATER)
    assert _differences(shared, tables) == []
    assert _states(shared) == states


def test_a_build_that_is_killed_leaves_nothing(on_trino: SharedProject) -> None:
    """Its scratch tables are dropped by the next build on that engine, which finds all as it was."""
    on_trino.run("build", "--now", _EARLIER)
    before = _states(on_trino)
    words = ("build", "--engine", "trino", "--select", "sums", "--full-refresh", "--now", _LATER)
    process = on_trino.start(*words)
    deadline = time.monotonic() + 300
    while not on_trino.scratch() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert on_trino.scratch() != [] and _states(on_trino) == before
    on_trino.run("build", "--engine", "trino", "--select", "sums", "--now", _LATER)
    assert on_trino.scratch() == []
    stepped = _tables(on_trino)
    on_trino.run("build", "--select", "sums", "--full-refresh", "--now", _LATER)
    assert _differences(on_trino, stepped) == []
