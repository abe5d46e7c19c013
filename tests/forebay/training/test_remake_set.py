"""A training set made again from its record: byte for byte, whatever became of tables and views."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.types import LongType

from lakehouse.commit import commit_rows
from lakehouse.content_hash import hash_batches, hash_file
from lakehouse.keep_snapshots import tag_of
from lakehouse.lake import load_table, open_lake
from tests.forebay.conftest import Shell
from tests.forebay.small import SPENDING, edit, lake_of, make_project, payments
from tests.forebay.training.fraud import draw, train, write_spine

pytestmark = pytest.mark.slow

EVERYTHING = ("--keep-hours", "0", "--orphan-days", "0", "--keep-metadata", "0")


@pytest.fixture
def shell(fraud: Shell) -> Shell:
    """A compiled project, and the training set a.parquet."""
    rows = [(customer, at, n) for n, (customer, at, _) in enumerate(draw(200, 1))]
    train(fraud, write_spine(fraud.folder / "spine.csv", rows), "a.parquet")
    return fraud


def again(shell: Shell, recorded: str, out: str) -> bytes:
    assert shell.run("train", "--as-recorded", recorded, "--out", out) == 0, shell.out + shell.err
    return (shell.folder / out).read_bytes()


def move_on(shell: Shell) -> None:
    """Nine more commits, a compaction, an expiry, and the files of both are deleted."""
    for day in range(4, 13):
        commit_rows(
            open_lake(lake_of(shell.folder)), "raw.payments", payments((day,)), mode="append"
        )
    assert shell.run("maintain", *EVERYTHING) == 0, shell.out + shell.err


def record_of(shell: Shell, name: str = "a.parquet") -> dict[str, object]:
    found = (pq.read_metadata(shell.folder / name).metadata or {})[b"forebay"]
    return dict(json.loads(found))


def test_the_same_bytes_once_tables_moved_on_until_it_is_forgotten(shell: Shell) -> None:
    root, lake = shell.folder, open_lake(lake_of(shell.folder))
    first = (root / "a.parquet").read_bytes()
    record = record_of(shell)
    before = len(load_table(lake, "raw.payments").snapshots())
    move_on(shell)
    table = load_table(lake, "raw.payments")
    assert table.metadata.refs[tag_of(str(record["id"]))].snapshot_id
    assert len(table.snapshots()) <= before + 1  # the set's and the head, of eleven or more
    assert again(shell, "a.parquet", "b.parquet") == first
    assert "the same bytes as a.parquet: b.parquet" in shell.out
    assert again(shell, "target/forebay/training/fraud.json", "c.parquet") == first
    train(shell, root / "spine.csv", "new.parquet")  # and so the tables did move on
    here, there = (pq.read_table(root / f"{n}.parquet") for n in ("a", "new"))
    assert here.column_names == there.column_names and not here.equals(there)
    assert shell.run("maintain", "--forget", "new.parquet") == 0

    assert shell.run("maintain", "--forget", "a.parquet", "--json") == 0
    assert json.loads(shell.out)["tables"] == ["raw.payments"]
    assert shell.run("maintain", *EVERYTHING) == 0
    line = shell.refused("train", "--as-recorded", "a.parquet", "--out", "d.parquet")
    assert "has expired" in line and not (root / "d.parquet").exists()


def test_nothing_is_written_without_out_and_rows_keep_the_spines_order(shell: Shell) -> None:
    before = {path.name for path in shell.folder.iterdir()}
    assert shell.run("train", "fraud", "--as-recorded", "a.parquet", "--json") == 0, shell.err
    told = json.loads(shell.out)
    assert told["same_bytes"] is True and told["rows"] == 200 and told["out"] == ""
    assert told["content"] == hash_file(shell.folder / "a.parquet")
    assert {path.name for path in shell.folder.iterdir()} == before
    labels = pq.read_table(shell.folder / "a.parquet")["label"].to_pylist()
    assert labels == list(range(200))


def test_views_that_mean_something_else_since_change_nothing(shell: Shell) -> None:
    first = (shell.folder / "a.parquet").read_bytes()
    edit(shell.folder, "models/spending.sql", "interval '60' day", "interval '2' day")
    assert again(shell, "a.parquet", "b.parquet") == first
    train(shell, shell.folder / "spine.csv", "new.parquet")
    assert not pq.read_table(shell.folder / "new.parquet").equals(
        pq.read_table(shell.folder / "a.parquet")
    )
    assert shell.run("compile") == 0
    assert again(shell, "a.parquet", "b.parquet") == first


def test_columns_that_were_renamed_and_added_since_change_nothing(shell: Shell) -> None:
    first = (shell.folder / "a.parquet").read_bytes()
    lake = open_lake(lake_of(shell.folder))
    with load_table(lake, "raw.payments").update_schema() as change:
        change.rename_column("amount", "cents")
    with load_table(lake, "raw.payments").update_schema() as change:
        change.add_column("amount", LongType())
    assert again(shell, "a.parquet", "b.parquet") == first


def test_a_spine_that_has_changed_is_read_from_the_set_itself(shell: Shell) -> None:
    first = (shell.folder / "a.parquet").read_bytes()
    (shell.folder / "spine.csv").write_text("customer,at,label\na,2024-01-02 00:00:00Z,1\n")
    assert again(shell, "a.parquet", "b.parquet") == first
    line = shell.refused("train", "--as-recorded", "target/forebay/training/fraud.json")
    assert "the spine is not there any more, or has other bytes" in line


def test_a_query_as_a_spine(shell: Shell) -> None:
    query = "select customer, paid_at + interval 1 hour as at from raw.payments where amount > 10"
    words = ("train", "fraud", "--spine", query, "--out", "q.parquet")
    assert shell.run(*words) == 0, shell.out + shell.err
    assert "spine_tables" in record_of(shell, "q.parquet")
    first = (shell.folder / "q.parquet").read_bytes()
    move_on(shell)
    assert again(shell, "q.parquet", "b.parquet") == first


def test_other_values_than_recorded_are_refused(shell: Shell) -> None:
    kept = shell.folder / "target/forebay/training/fraud.json"
    record = json.loads(kept.read_text())
    record["content"]["hash"] = "1" * 64
    kept.write_text(json.dumps(record))
    line = shell.refused("train", "--as-recorded", str(kept), "--out", "b.parquet")
    assert "other values came out than were recorded" in line
    assert not (shell.folder / "b.parquet").exists()


def test_what_cannot_be_made_again(shell: Shell) -> None:
    line = shell.refused("train", "--as-recorded", "spine.csv")
    assert "no record" in line
    line = shell.refused("train", "churn", "--as-recorded", "a.parquet")
    assert "training set of 'fraud'" in line
    record = record_of(shell)
    for name, lost in (("old", {"recipe"}), ("older", {"content"})):
        (shell.folder / f"{name}.json").write_text(
            json.dumps({k: v for k, v in record.items() if k not in lost})
        )
        assert "earlier forebay" in shell.refused("train", "--as-recorded", f"{name}.json")
    record["recipe"] = {"engine": "trino"}
    (shell.folder / "trino.json").write_text(json.dumps(record))
    assert "made on trino" in shell.refused("train", "--as-recorded", "trino.json")
    line = shell.refused("maintain", "--forget", "nothing")
    assert "no file 'nothing'" in line


def test_a_set_that_fails_leaves_no_tag(shell: Shell) -> None:
    def tags() -> set[str]:
        return set(load_table(open_lake(lake_of(shell.folder)), "raw.payments").metadata.refs)

    before = tags()
    (shell.folder / "wrong.csv").write_text("customer,at\na,infinity\n")
    shell.refused("train", "fraud", "--spine", "wrong.csv", "--out", "b.parquet")
    assert tags() == before and not (shell.folder / "b.parquet").exists()


@pytest.mark.slow
def test_sums_of_doubles_have_the_same_last_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of frames and joins, whose rows threads would meet in another order each time."""
    spread = SPENDING.replace("max(amount) as most_60d", "stddev(amount / 7.0) as spread_60d")
    shell = Shell(make_project(tmp_path, {"models/spending.sql": spread}), monkeypatch, capsys)
    drawn = duckdb.connect().sql(
        "select chr(97 + (i % 3)::int) as customer, 1 + hash(i) % 99991 as amount, timestamptz "
        "'2024-01-01 00:00:00+00' + to_seconds(i) as paid_at from range(300000) as t(i)"
    )
    assert drawn is not None
    rows = drawn.to_arrow_table()
    names = ["customer", "paid_at", "amount"]
    rows = rows.select(names).cast(pa.schema([(n, payments().schema.field(n).type) for n in names]))
    commit_rows(open_lake(lake_of(tmp_path)), "raw.payments", rows, mode="append")
    assert shell.run("compile") == 0, shell.err
    train(shell, write_spine(tmp_path / "spine.csv", draw(60, 1)), "a.parquet")
    recipe = record_of(shell)["recipe"]
    assert isinstance(recipe, dict) and recipe["threads"] == 1
    first = (tmp_path / "a.parquet").read_bytes()
    for _ in range(2):
        assert again(shell, "a.parquet", "b.parquet") == first


@pytest.mark.slow
def test_a_training_set_model_and_the_file_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {
        "models/labels.sql": "select customer, paid_at as event_timestamp from {{ ref('stg_payments') }}",
        "models/train.sql": "{{ config(materialized='training_set') }}\n"
        "{{ point_in_time(spine=ref('labels'), service='fraud') }}",
    }
    shell = Shell(make_project(tmp_path, models), monkeypatch, capsys)
    assert shell.run("build") == 0, shell.out + shell.err
    lake = open_lake(lake_of(tmp_path))
    table = load_table(lake, "main.train")
    told = json.loads(table.properties["forebay.training"])["content"]["hash"]
    rows = table.scan().to_arrow()
    ordered = rows.sort_by([(name, "ascending") for name in rows.column_names])
    assert told == hash_batches(ordered.schema, ordered.to_batches())
    assert shell.run("train", "fraud", "--out", "a.parquet") == 0, shell.err
    first = (tmp_path / "a.parquet").read_bytes()
    move_on(shell)
    assert shell.run("build") == 0, shell.out + shell.err
    assert shell.run("maintain", *EVERYTHING) == 0, shell.out + shell.err
    assert load_table(lake, "main.train").scan().to_arrow().num_rows > rows.num_rows
    assert again(shell, "a.parquet", "b.parquet") == first
