"""Rows that go leave all other rows as they are, in tables of every kind."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import ListType, LongType, NestedField, StringType

from feature_specs.errors import DataError
from lakehouse.commit import commit_rows
from lakehouse.erase.match_rows import Entity
from lakehouse.erase.rewrite_files import find_entity_rows, remove_rows, rewrite_manifests
from lakehouse.erase.scan_files import names_removed_files, scan_files
from lakehouse.feature_tables.change_rows import change_rows
from lakehouse.lake import load_table
from lakehouse.scan import pin
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow

ZOE = Entity({"customer": "zoe"})


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    return local_lake(tmp_path)


def rows(*customers: str, more: pa.Array | None = None) -> pa.Table:
    columns = {"customer": pa.array(customers), "n": pa.array(range(len(customers)), pa.int64())}
    return pa.table(columns if more is None else {**columns, "items": more})


def erase(lake: Catalog, name: str, entity: Entity = ZOE) -> int:
    """How many rows went; and the table's manifests name nothing that went."""
    with duckdb.connect() as connection:
        table = load_table(lake, name)
        predicate = entity.predicate(name, table.schema())
        assert predicate is not None
        found = find_entity_rows(connection, pin(table), predicate)
        remove_rows(connection, table, found, predicate)
        rewrite_manifests(load_table(lake, name))
        after = load_table(lake, name)
        assert not find_entity_rows(connection, pin(after), predicate).rows
        assert not rewrite_manifests(after)
    return found.living


def told(table: Table) -> list[dict[str, object]]:
    return sorted(read_arrow(table).to_pylist(), key=str)


def test_other_rows_stay_and_files_without_it_are_not_touched(lake: Catalog) -> None:
    commit_rows(lake, "a.t", rows("adam", "zoe", "eve", "zoe"), mode="append")
    commit_rows(lake, "a.t", rows("adam"), mode="append")
    before = {e.data_file.file_path for e in pin(load_table(lake, "a.t")).files}
    others = [r for r in told(load_table(lake, "a.t")) if r["customer"] != "zoe"]
    assert erase(lake, "a.t") == 2
    assert told(load_table(lake, "a.t")) == others and len(others) == 3
    after = {e.data_file.file_path for e in pin(load_table(lake, "a.t")).files}
    assert len(before & after) == 1 and len(after) == 2
    assert erase(lake, "a.t") == 0


def test_the_last_rows_of_a_table(lake: Catalog) -> None:
    commit_rows(lake, "a.t", rows("zoe", "zoe"), mode="append")
    assert erase(lake, "a.t") == 2
    assert told(load_table(lake, "a.t")) == []
    commit_rows(lake, "a.t", rows("adam"), mode="append")
    assert len(told(load_table(lake, "a.t"))) == 1


def test_lists_and_required_columns(lake: Catalog) -> None:
    items = pa.array([[1, 2], [], None], pa.list_(pa.int64()))
    made = rows("adam", "zoe", "eve", more=items)
    strict = pa.schema([made.schema.field(0).with_nullable(False), *list(made.schema)[1:]])
    commit_rows(lake, "a.t", made.cast(strict), mode="append")
    others = [r for r in told(load_table(lake, "a.t")) if r["customer"] != "zoe"]
    assert erase(lake, "a.t") == 1
    assert told(load_table(lake, "a.t")) == others


def test_a_table_partitioned_by_the_key(lake: Catalog) -> None:
    """The files' own paths have the value; none of them is left named."""
    fields = (
        NestedField(1, "customer", StringType()),
        NestedField(2, "n", LongType()),
        NestedField(3, "items", ListType(4, LongType(), element_required=False)),
    )
    lake.create_namespace("a")
    lake.create_table(
        "a.t",
        Schema(*fields),
        partition_spec=PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "customer")),
    )
    items = pa.array([[1], [2], [3]], pa.list_(pa.int64()))
    load_table(lake, "a.t").append(rows("adam", "zoe", "eve", more=items))
    others = [r for r in told(load_table(lake, "a.t")) if r["customer"] != "zoe"]
    assert erase(lake, "a.t") == 1
    table = load_table(lake, "a.t")
    assert told(table) == others
    assert not any("zoe" in e.data_file.file_path for e in pin(table).files)


def test_rows_that_were_deleted_already_go_from_their_files_too(lake: Catalog) -> None:
    commit_rows(lake, "a.t", rows("adam", "zoe", "eve"), mode="append")
    with duckdb.connect() as connection:
        pinned = pin(load_table(lake, "a.t"))
        gone = "select 0::int as fb_file, 1::bigint as fb_row union all select 0, 2"
        change_rows(
            connection,
            pinned,
            "select 'eve' as customer, 9::bigint as n",
            gone,
            rows=2,
            properties={},
        )()
        table = load_table(lake, "a.t")
        predicate = ZOE.predicate("a.t", table.schema())
        assert predicate is not None
        found = find_entity_rows(connection, pin(table), predicate)
        assert (found.rows, found.living) == (1, 0)
    expected = [{"customer": "adam", "n": 0}, {"customer": "eve", "n": 9}]
    assert told(load_table(lake, "a.t")) == expected
    assert erase(lake, "a.t") == 0
    assert told(load_table(lake, "a.t")) == expected


def test_the_scan_reads_files_that_no_snapshot_names(lake: Catalog) -> None:
    commit_rows(lake, "a.t", rows("adam", "zoe"), mode="append")
    erase(lake, "a.t")
    table = load_table(lake, "a.t")
    assert names_removed_files(table)  # by the snapshot before
    with duckdb.connect() as connection:
        left = scan_files(connection, "a.t", table, ZOE)
    assert sum(left.rows.values()) == 1 and left.files == 2 and not left.unread


def test_a_key_that_is_called_otherwise_there(lake: Catalog) -> None:
    made = rows("adam", "zoe").rename_columns(["cust", "n"])
    commit_rows(lake, "a.t", made, mode="append")
    table = load_table(lake, "a.t")
    assert ZOE.predicate("a.t", table.schema()) is None
    named = Entity({"customer": "zoe"}, {("a.t", "customer"): "CUST"})
    assert erase(lake, "a.t", named) == 1
    with duckdb.connect() as connection:
        left = scan_files(connection, "a.t", load_table(lake, "a.t"), named)
    assert sum(left.rows.values()) == 1


def test_a_value_of_another_type_is_refused(lake: Catalog) -> None:
    commit_rows(lake, "a.t", rows("adam"), mode="append")
    with pytest.raises(DataError, match="is not a valid BIGINT"):
        Entity({"n": "zoe"}).predicate("a.t", load_table(lake, "a.t").schema())


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("7.6", pa.int64()),  # DuckDB's cast makes it 8, who is somebody else
        ("7.0", pa.int64()),  # of which the online store, and columns of text, know nothing
        ("07", pa.int32()),
        ("7.004", pa.decimal128(10, 2)),
        ("2024-01-01 10:00", pa.date32()),
        ("2024-01-01 10:00", pa.timestamp("us", "UTC")),
    ],
)
def test_a_value_that_a_cast_would_change_is_refused(
    lake: Catalog, value: str, kind: pa.DataType
) -> None:
    commit_rows(lake, "a.t", pa.table({"k": pa.array([None], kind)}), mode="append")
    with pytest.raises(DataError, match=f"'{value}' is not a valid "):
        Entity({"k": value}).predicate("a.t", load_table(lake, "a.t").schema())


def test_rows_that_were_set_aside_go_from_the_quarantine(lake: Catalog) -> None:
    commit_rows(lake, "a.t", pa.table({"k": pa.array([1], pa.int64())}), mode="append")
    content = [
        '{"K": "8", "price": "x"}',
        '{"k": 8, "price": "x"}',
        '{"k": "8.0"}',
        '{"k": "7.6", "price": "8"}',
        '{"k": "80"}',
        '{"k": null}',
        '{"price": "8"}',
    ]
    commit_rows(lake, "a.t__quarantine", pa.table({"content": content}), mode="append")
    entity = Entity({"k": "8"})
    predicate = entity.predicate_set_aside("a.t", load_table(lake, "a.t").schema())
    assert predicate is not None
    with duckdb.connect() as connection:
        table = load_table(lake, "a.t__quarantine")
        left = scan_files(connection, "a.t__quarantine", table, entity, predicate)
        assert sum(left.rows.values()) == 3
        found = find_entity_rows(connection, pin(table), predicate)
        remove_rows(connection, table, found, predicate)
    kept = [str(row["content"]) for row in told(load_table(lake, "a.t__quarantine"))]
    assert sorted(kept) == sorted(content[3:])
