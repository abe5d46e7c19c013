"""Columns added, widened, renamed and dropped with a load; old rows keep their values."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.errors import DataError, UnknownNameError
from lakehouse.describe_tables import describe_table
from lakehouse.drop_table import drop_table
from lakehouse.ingest.files import ingest_file
from lakehouse.ingest.fit_table import SchemaChanges
from lakehouse.ingest.source import FileOptions
from lakehouse.lake import find_table, load_table
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow


@pytest.fixture
def sales(lake: Catalog, tmp_path: Path) -> Path:
    """A file to write to; the lake has shop.sales with an INTEGER id and a DECIMAL price."""
    file = tmp_path / "a.csv"
    file.write_text("id,price\n1,2.50\n")
    types = {"id": "integer", "price": "decimal(5,2)"}
    ingest_file(lake, "shop.sales", file, mode="append", options=FileOptions(types=types))
    return file


def by_id(lake: Catalog) -> list[dict[str, object]]:
    return sorted(read_arrow(load_table(lake, "shop.sales")).to_pylist(), key=lambda r: r["id"])


def test_a_new_column_is_null_in_old_rows(lake: Catalog, sales: Path) -> None:
    sales.write_text("id,price,shop\n2,3.00,x\n")
    with pytest.raises(DataError, match=r"no column 'shop'.*--evolve"):
        ingest_file(lake, "shop.sales", sales, mode="append")
    ingest_file(lake, "shop.sales", sales, mode="append", changes=SchemaChanges(evolve=True))
    assert [r["shop"] for r in by_id(lake)] == [None, "x"]


def test_types_widen_and_do_not_change_otherwise(lake: Catalog, sales: Path) -> None:
    sales.write_text("id,price\n3000000000,12345678.25\n")
    with pytest.raises(DataError, match=r"a.csv:2: column 'id' is INTEGER.*--evolve"):
        ingest_file(lake, "shop.sales", sales, mode="append")
    wider = FileOptions(types={"id": "bigint", "price": "decimal(12,2)"})
    with pytest.raises(DataError, match=r"--types says BIGINT.*--evolve"):
        ingest_file(lake, "shop.sales", sales, mode="append", options=wider)
    changes = SchemaChanges(evolve=True)
    ingest_file(lake, "shop.sales", sales, mode="append", options=wider, changes=changes)
    assert [(r["id"], str(r["price"])) for r in by_id(lake)] == [
        (1, "2.50"),
        (3000000000, "12345678.25"),
    ]
    text = FileOptions(types={"id": "varchar"})
    with pytest.raises(DataError, match=r"--types says VARCHAR.*drop the table"):
        ingest_file(lake, "shop.sales", sales, mode="replace", options=text, changes=changes)


def test_a_renamed_column_keeps_its_rows_and_its_field_id(lake: Catalog, sales: Path) -> None:
    before = load_table(lake, "shop.sales").schema().find_field("price").field_id
    sales.write_text("id,amount\n2,3.00\n")
    with pytest.raises(DataError, match="--rename price=amount"):
        ingest_file(lake, "shop.sales", sales, mode="append")
    changes = SchemaChanges(rename={"price": "amount"})
    ingest_file(lake, "shop.sales", sales, mode="append", changes=changes)
    assert [str(r["amount"]) for r in by_id(lake)] == ["2.50", "3.00"]
    assert load_table(lake, "shop.sales").schema().find_field("amount").field_id == before
    with pytest.raises(UnknownNameError, match="no column 'price'"):
        ingest_file(lake, "shop.sales", sales, mode="append", changes=changes)
    twice = SchemaChanges(rename={"amount": "ID"})
    with pytest.raises(DataError, match="would have two columns"):
        ingest_file(lake, "shop.sales", sales, mode="append", changes=twice)


def test_replace_follows_all_of_it_in_one_commit(lake: Catalog, sales: Path) -> None:
    sales.write_text("number,shop\n7,x\n")
    changes = SchemaChanges(evolve=True, rename={"id": "number"}, drop=("price",))
    ingest_file(lake, "shop.sales", sales, mode="replace", changes=changes)
    table = load_table(lake, "shop.sales")
    assert read_arrow(table).to_pylist() == [{"number": 7, "shop": "x"}]
    assert len(table.metadata.metadata_log) == 1


def test_a_refused_value_changes_no_column(lake: Catalog, sales: Path) -> None:
    sales.write_text("id,amount,shop\nx,3.00,y\n")
    changes = SchemaChanges(evolve=True, rename={"price": "amount"})
    with pytest.raises(DataError, match=r"a.csv:2"):
        ingest_file(lake, "shop.sales", sales, mode="append", changes=changes)
    assert [f.name for f in load_table(lake, "shop.sales").schema().fields] == ["id", "price"]


def test_a_stream_goes_into_several_files_and_a_partitioned_table(
    lake: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.row_stream._FILE_BYTES", 1 << 20)
    monkeypatch.setattr("lakehouse.write_rows.FILE_ROWS", 1 << 16)
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": pa.array(range(400_000)), "p": pa.array([0, 1] * 200_000)}), file)
    ingest_file(lake, "s.t", file, mode="append")
    assert describe_table(lake, "s.t").files > 2
    with load_table(lake, "s.t").update_spec() as spec:
        spec.add_identity("p")
    ingest_file(lake, "s.t", file, mode="replace")
    found = read_arrow(load_table(lake, "s.t"))
    assert sorted(found["n"].to_pylist()) == list(range(400_000))


def test_a_stream_that_breaks_off_leaves_no_file(
    lake: Catalog, sales: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = sorted(tmp_path.glob("lake/**/*.parquet"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyiceberg.table.update.snapshot._SnapshotProducer.append_data_file", full)
    with pytest.raises(OSError, match="No space left"):
        ingest_file(lake, "shop.sales", sales, mode="append")
    assert sorted(tmp_path.glob("lake/**/*.parquet")) == before


def test_a_dropped_table_leaves_no_files(lake: Catalog, sales: Path, tmp_path: Path) -> None:
    ingest_file(lake, "shop.sales", sales, mode="replace")
    held = describe_table(lake, "shop.sales")
    assert (held.rows, held.files) == (1, 1)
    drop_table(lake, "shop.sales")
    assert find_table(lake, "shop.sales") is None
    assert not [p for p in tmp_path.glob("lake/warehouse/**/*") if p.is_file()]
    with pytest.raises(UnknownNameError, match=r"no Iceberg table 'shop.sales'"):
        drop_table(lake, "shop.sales")
