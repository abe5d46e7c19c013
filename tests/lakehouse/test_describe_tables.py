"""What is said of a table equals what reading it gives, whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Summary
from pyiceberg.types import LongType, NestedField, StringType

from feature_specs.errors import DataError, UnknownNameError
from lakehouse.commit import commit_rows
from lakehouse.describe_tables import describe_table, facts_of
from lakehouse.lake import load_table
from tests.lakehouse.others_write import lakes
from tests.lakehouse.others_write.lakes import OtherEngine, lake_in

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "v", StringType()))
ROWS = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("v", pa.string())])


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    return lake_in(tmp_path)


def rows(*ids: int) -> pa.Table:
    return pa.Table.from_pylist([{"id": i, "v": f"{i}"} for i in ids], schema=ROWS)


def test_a_table_of_ours(lake: Catalog, tmp_path: Path) -> None:
    commit_rows(lake, "s.t", rows(1, 2), mode="append")
    commit_rows(lake, "s.t", rows(3), mode="append")
    found = describe_table(lake, "s.t")
    assert (found.rows, found.files, found.snapshots) == (3, 2, 2)
    files = tmp_path.rglob("*.parquet")
    assert found.bytes == sum(p.stat().st_size for p in files)
    assert found.columns == {"id": "BIGINT", "v": "VARCHAR"} and found.required == ("id",)
    assert found.changed is not None and found.changed.tzinfo is not None


def test_a_table_that_was_never_written(lake: Catalog) -> None:
    table = OtherEngine.create(lake, SCHEMA).table
    found = facts_of(table, "s.t")
    assert (found.rows, found.bytes, found.files, found.snapshots) == (0, 0, 0, 0)
    assert found.changed is None


@pytest.mark.parametrize("summed_up", [True, False])
def test_deleted_rows_do_not_count(
    lake: Catalog, summed_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the snapshot's summary says it, or only the manifests do."""
    if not summed_up:

        def silent(self: Any, _: object = None) -> Summary:
            return Summary(self.said)

        monkeypatch.setattr(lakes._Commit, "_summary", silent)
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    file = engine.append(rows(1, 2, 3, 4))
    engine.commit(deletes=[engine.delete_positions((file, 0), (file, 2))])
    found = facts_of(engine.table, "s.t")
    assert found.rows == len(engine.read()) == 2
    assert found.files == 1


def test_equality_deletes_leave_the_rows_open(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    engine.append(rows(1, 2))
    path = Path(engine.write(rows(1)).file_path.removeprefix("file://"))
    gone = engine.described(path, 1, content=DataFileContent.EQUALITY_DELETES, equality_ids=[1])
    engine.commit(deletes=[gone])
    assert facts_of(engine.table, "s.t").rows is None


def test_a_type_that_duckdb_lacks_is_shown_as_icebergs(lake: Catalog) -> None:
    commit_rows(lake, "s.odd", rows(1), mode="append")
    path = Path(load_table(lake, "s.odd").metadata_location.removeprefix("file://"))
    said = json.loads(path.read_text())
    said["schemas"][0]["fields"][1]["type"] = "timestamp_ns"
    path.write_text(json.dumps({**said, "format-version": 3, "next-row-id": 0}))
    assert describe_table(lake, "s.odd").columns == {"id": "BIGINT", "v": "timestamp_ns"}


@pytest.mark.parametrize("name", ["t", "s.", ".t", "s..t", "", "s.tt", "r.t"])
def test_a_name_of_none(lake: Catalog, name: str) -> None:
    commit_rows(lake, "s.t", rows(1), mode="append")
    with pytest.raises(UnknownNameError, match=r"no Iceberg table .*`forebay tables` lists"):
        describe_table(lake, name)


def test_a_table_whose_metadata_is_lost_says_so(lake: Catalog) -> None:
    commit_rows(lake, "s.t", rows(1), mode="append")
    Path(load_table(lake, "s.t").metadata_location.removeprefix("file://")).unlink()
    with pytest.raises(DataError, match="metadata file is missing"):
        describe_table(lake, "s.t")


def test_a_table_whose_manifest_is_lost_has_an_unknown_number_of_rows(lake: Catalog) -> None:
    commit_rows(lake, "s.t", rows(1, 2), mode="append")
    current = load_table(lake, "s.t").current_snapshot()
    assert current is not None
    Path(current.manifest_list.removeprefix("file://")).unlink()
    found = describe_table(lake, "s.t")
    assert (found.rows, found.files, found.snapshots) == (None, 1, 1)
