"""Up to where a table says that its topic was read, without a broker."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.types import LongType

from feature_specs.errors import DataError
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.pyiceberg_internals import write_files
from lakehouse.stream.commit_batch import (
    Batch,
    BatchCommit,
    OvertakenError,
    StagedCommit,
    set_fence,
)
from lakehouse.stream.fence import Fence, Place, read_fence

NAME = "raw.orders"


def _at(offset: int) -> Fence:
    return Fence("orders", "id", {0: Place(offset)})


def test_a_table_rolled_back_past_what_is_known_is_not_read_on(tmp_path: Path) -> None:
    lake = open_lake(
        {"name": "l", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": str(tmp_path / "w")}
    )
    rows = pa.table({"x": [1]})
    commit_rows(lake, NAME, rows, mode="append")
    set_fence(lake, NAME, lambda known: _at(3))
    commit_rows(lake, NAME, rows, mode="append")
    table = load_table(lake, NAME)
    first, streamed, ingested = table.snapshots()
    table.maintenance.expire_snapshots().by_ids([first.snapshot_id, streamed.snapshot_id]).commit()
    assert read_fence(load_table(lake, NAME)) == _at(3)
    set_fence(lake, NAME, lambda known: _at(9))
    table = load_table(lake, NAME)
    assert read_fence(table) == _at(9)
    table.manage_snapshots().rollback_to_snapshot(ingested.snapshot_id).commit()
    with pytest.raises(DataError, match="rolled back"):
        read_fence(load_table(lake, NAME))


def test_a_rollback_under_rows_of_others_is_noticed(tmp_path: Path) -> None:
    """What the property says was read is in no row of this line, whose head is the newest commit."""
    lake = open_lake(
        {"name": "l", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": str(tmp_path / "w")}
    )
    rows = pa.table({"x": [1]})
    commit_rows(lake, NAME, rows, mode="append")
    before = load_table(lake, NAME).current_snapshot()
    assert before is not None
    set_fence(lake, NAME, lambda known: _at(9))
    load_table(lake, NAME).manage_snapshots().rollback_to_snapshot(before.snapshot_id).commit()
    commit_rows(lake, NAME, rows, mode="append")
    with pytest.raises(DataError, match=r"rolled back.*--reset earliest"):
        read_fence(load_table(lake, NAME))
    set_fence(lake, NAME, lambda known: _at(0) if known is None else known)
    assert read_fence(load_table(lake, NAME)) == _at(0)


def test_a_batch_from_the_middle_is_not_the_first_of_a_table_made_anew(tmp_path: Path) -> None:
    lake = open_lake(
        {"name": "l", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": str(tmp_path / "w")}
    )
    rows = pa.table({"x": [1]})
    commit_rows(lake, NAME, rows, mode="append")
    late = Batch("orders", "id", rows, {0: 5}, {0: Place(6)})
    with pytest.raises(OvertakenError):
        BatchCommit(lake, NAME, late).commit()
    first = Batch("orders", "id", rows, {0: None}, {0: Place(6)})
    assert read_fence(BatchCommit(lake, NAME, first).commit()) == _at(6)


def test_a_reset_of_one_partition_keeps_where_others_have_come_by_then(tmp_path: Path) -> None:
    lake = open_lake(
        {"name": "l", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": str(tmp_path / "w")}
    )
    rows = pa.table({"x": [1]})
    commit_rows(lake, NAME, rows, mode="append")
    set_fence(lake, NAME, lambda known: Fence("orders", "id", {0: Place(3), 1: Place(50)}))
    batches = iter([Batch("orders", "id", rows, {1: 50}, {1: Place(60)})])

    def moved(known: Fence | None) -> Fence:
        """Another process commits between the look and the commit, once."""
        assert known is not None
        for batch in batches:
            BatchCommit(lake, NAME, batch).commit()
        return known.moved({0: Place(0)})

    set_fence(lake, NAME, moved)
    places = Fence("orders", "id", {0: Place(0), 1: Place(60)})
    assert read_fence(load_table(lake, NAME)) == places


def _changes_once(lake: Catalog) -> set[int]:
    """Another writer adds a column, which makes no snapshot, while a batch is about to commit."""
    table = load_table(lake, NAME)
    if "more" not in table.schema().column_names:
        with table.update_schema() as change:
            change.add_column("more", LongType())
    return set()


def test_files_are_committed_only_to_the_columns_that_they_were_written_for(
    tmp_path: Path,
) -> None:
    lake = open_lake(
        {"name": "l", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": str(tmp_path / "w")}
    )
    commit_rows(lake, NAME, pa.table({"x": [1]}), mode="append")
    set_fence(lake, NAME, lambda known: _at(0))
    before = load_table(lake, NAME)
    batch = Batch("orders", "id", pa.table({"x": [2]}), {0: 0}, {0: Place(1)})
    seen: list[int] = []

    def rows_for(table: Table, rows: pa.Table) -> pa.Table:
        seen.append(table.metadata.current_schema_id)
        return rows

    written = list(write_files(before.transaction(), batch.rows, uuid.uuid4(), itertools.count()))
    metadata = before.metadata
    staged = StagedCommit(
        lake,
        NAME,
        batch,
        most_snapshots=1,
        kept=lambda: _changes_once(lake),
        staged=written,
        written_for=(metadata.current_schema_id, metadata.default_spec_id),
    )
    with pytest.raises(OvertakenError):
        staged.commit()
    assert load_table(lake, NAME).current_snapshot() == before.current_snapshot()
    with load_table(lake, NAME).update_schema() as change:
        change.delete_column("more")
    commit = BatchCommit(
        lake, NAME, batch, rows_for, most_snapshots=1, kept=lambda: _changes_once(lake)
    )
    commit.commit()
    table = load_table(lake, NAME)
    # Tried for the columns as they were, then written anew for what they are.
    assert len(seen) == 2 and seen[0] != seen[1] == table.metadata.current_schema_id
    assert sorted(table.scan().to_arrow().to_pylist(), key=lambda r: int(r["x"])) == [
        {"x": 1, "more": None},
        {"x": 2, "more": None},
    ]
    assert read_fence(table) == _at(1)
