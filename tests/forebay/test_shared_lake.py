"""A project whose lake another engine writes: deletes, compactions, tables where views were."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table.snapshots import Operation

from lakehouse.lake import load_table, open_lake
from lakehouse.scan import pin
from tests.forebay.conftest import Shell
from tests.lakehouse.others_write.lakes import OtherEngine

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """A small project of its own, built."""
    shell = Shell(tmp_path, monkeypatch, capsys)
    assert shell.run("init", "shop") == 0
    shell = Shell(tmp_path / "shop", monkeypatch, capsys)
    for name in ("customers", "payments"):
        assert shell.run("ingest", f"shop.{name}", f"data/{name}.csv") == 0
    assert shell.run("build") == 0
    return shell


def payments(shell: Shell) -> OtherEngine:
    lake = open_lake(
        {
            "name": "lake",
            "type": "sql",
            "uri": f"sqlite:///{shell.folder}/lake/catalog.db",
            "warehouse": f"{shell.folder}/lake/warehouse",
        }
    )
    return OtherEngine(load_table(lake, "shop.payments"))


def spent(shell: Shell) -> dict[str, int]:
    """What the feature table says that each customer paid lately, as dbt shows it."""
    with duckdb.connect(shell.folder / "target" / "dev.duckdb", read_only=True) as connection:
        found = connection.execute("select customer_id, payments_30d from main.card_activity")
        return dict(found.fetchall())


def paid(shell: Shell) -> dict[str, int]:
    """The same by hand, over pyiceberg's own reading."""
    rows = payments(shell).table.scan().to_arrow()  # noqa: F841
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        found = connection.execute(
            "select customer_id, count(*) from rows "
            "where paid_at > now() - interval '30' day and paid_at <= now() group by 1"
        )
        return dict(found.fetchall())


def test_deletes_a_compaction_and_files_without_ids(shop: Shell) -> None:
    assert spent(shop) == paid(shop)
    engine = payments(shop)
    (file,) = (e.data_file for e in pin(engine.table).files)
    gone = [(file, place) for place in range(0, 600, 3)]
    engine.commit(deletes=[engine.delete_positions(*gone)], operation=Operation.DELETE)
    assert shop.run("build") == 0, shop.out
    assert spent(shop) == paid(shop)
    assert shop.run("train", "dispute_risk_v1", "--spine", "data/labels.csv", "--out", "a.pq") == 0
    engine = payments(shop)
    rows = engine.table.scan().to_arrow()
    assert rows.num_rows == 400
    path = engine.path()
    pq.write_table(rows.cast(nameless(rows.schema)), path)
    mapping = engine.table.schema().name_mapping.model_dump_json()
    with engine.table.transaction() as change:
        change.set_properties({"schema.name-mapping.default": mapping})
    engine.commit(engine.described(path, 400), removed=[file], operation=Operation.REPLACE)
    assert shop.run("build") == 0, shop.out
    assert spent(shop) == paid(shop)
    assert shop.run("train", "dispute_risk_v1", "--spine", "data/labels.csv", "--out", "b.pq") == 0
    before, after = (sorted_rows(shop.folder / name) for name in ("a.pq", "b.pq"))
    assert before == after
    customer = next(iter(spent(shop)))
    assert shop.run("preview", "card_activity", "--key", f"customer_id={customer}") == 0
    assert str(spent(shop)[customer]) in shop.out


def nameless(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(f.name, f.type) for f in schema])


def sorted_rows(path: Path) -> list[str]:
    return sorted(str(row) for row in pq.read_table(path).to_pylist())


def test_tables_where_views_belong(shop: Shell) -> None:
    database = shop.folder / "target" / "dev.duckdb"
    with duckdb.connect(database) as connection:
        connection.execute("drop view main.card_activity")
        connection.execute("create table main.card_activity as select 1 as was_a_table")
    assert shop.run("build") == 0, shop.out
    assert spent(shop) == paid(shop)
    with duckdb.connect(database) as connection:
        connection.execute("drop view shop.payments")
        connection.execute("create table shop.payments as select 1 as of_somebody")
    assert shop.run("build") == 2
    said = shop.out + shop.err
    assert "payments is a table in the project's DuckDB file" in said
    assert "drop table" in said
    kept = shop.folder / "kept.duckdb"  # dbt may still hold the file itself
    shutil.copy(database, kept)
    with duckdb.connect(kept, read_only=True) as connection:
        assert connection.execute("select * from shop.payments").fetchall() == [(1,)]


def test_a_build_before_all_rows_says_so(shop: Shell) -> None:
    assert shop.run("build", "--now", "2001-01-01T00:00:00Z") == 0
    said = " ".join((shop.out + shop.err).split())
    assert "card_activity has no rows: all 600 rows of dev.shop.payments become visible" in said
    assert "the run's clock is 2001-01-01T00:00:00+00:00, from --now" in said
