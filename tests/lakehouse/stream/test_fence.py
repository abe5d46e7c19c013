"""Up to where a table says that its topic was read, without a broker."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from feature_specs.errors import DataError
from lakehouse.commit import commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.stream.commit_batch import set_fence
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
    set_fence(lake, NAME, _at(3))
    commit_rows(lake, NAME, rows, mode="append")
    table = load_table(lake, NAME)
    first, streamed, ingested = table.snapshots()
    table.maintenance.expire_snapshots().by_ids([first.snapshot_id, streamed.snapshot_id]).commit()
    assert read_fence(load_table(lake, NAME)) == _at(3)
    set_fence(lake, NAME, _at(9))
    table = load_table(lake, NAME)
    assert read_fence(table) == _at(9)
    table.manage_snapshots().rollback_to_snapshot(ingested.snapshot_id).commit()
    with pytest.raises(DataError, match="rolled back"):
        read_fence(load_table(lake, NAME))
