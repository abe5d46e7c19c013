"""A compaction that others come before goes on top of rows that were added, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from lakehouse.commit import commit_rows
from lakehouse.feature_tables.clean_files import FAN, Cleaning, clean_files
from lakehouse.lake import load_table
from lakehouse.scan import pin
from lakehouse.stream.commit_batch import Batch, BatchCommit, set_fence
from lakehouse.stream.fence import Fence, Place, read_fence
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow

NAME = "raw.events"


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    made = local_lake(tmp_path)
    for n in range(FAN):
        commit_rows(made, NAME, _row(n), mode="append")
    return made


def _row(n: int) -> pa.Table:
    return pa.table({"n": pa.array([n], pa.int64())})


def _rows(lake: Catalog) -> list[int]:
    found: list[int] = read_arrow(load_table(lake, NAME)).column("n").to_pylist()
    return sorted(found)


def test_rows_that_came_meanwhile_stay_and_so_does_how_far_a_topic_was_read(lake: Catalog) -> None:
    set_fence(lake, NAME, lambda known: Fence("t", "id", {0: Place(8)}))
    stale = pin(load_table(lake, NAME))
    batch = Batch("t", "id", _row(100), {0: 8}, {0: Place(9)})
    BatchCommit(lake, NAME, batch).commit()
    with duckdb.connect() as connection:
        done = clean_files(connection, stale, forget_old=False)
    assert len(done.data) == FAN
    table = load_table(lake, NAME)
    head = table.current_snapshot()
    assert head is not None and head.summary is not None
    assert head.summary.operation.value == "replace"
    assert len(pin(table).files) == 2
    assert _rows(lake) == [*range(FAN), 100]
    assert read_fence(table) == Fence("t", "id", {0: Place(9)})


def test_rows_that_were_removed_meanwhile_do_not_come_back(lake: Catalog) -> None:
    stale = pin(load_table(lake, NAME))
    commit_rows(lake, NAME, _row(5), mode="replace")
    with duckdb.connect() as connection:
        assert clean_files(connection, stale, forget_old=False) == Cleaning()
    assert _rows(lake) == [5]


def test_what_another_compaction_has_made_one_is_not_there_twice(lake: Catalog) -> None:
    stale = pin(load_table(lake, NAME))
    with duckdb.connect() as connection:
        assert clean_files(connection, pin(load_table(lake, NAME)), forget_old=False).data
        commit_rows(lake, NAME, _row(50), mode="append")
        assert clean_files(connection, stale, forget_old=False) == Cleaning()
    assert _rows(lake) == [*range(FAN), 50]
    assert len(pin(load_table(lake, NAME)).files) == 2
