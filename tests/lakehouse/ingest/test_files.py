"""Files into Iceberg: types, zones, schema mismatches, one commit."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException

from feature_specs.errors import DataError, ForebayError
from lakehouse.commit import commit_rows
from lakehouse.ingest.files import ingest_file
from lakehouse.ingest.fit_table import SchemaChanges
from lakehouse.ingest.source import FileOptions
from lakehouse.lake import find_table, load_table
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.slow


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def rows(lake: Catalog, identifier: str) -> list[dict[str, Any]]:
    return list(read_arrow(load_table(lake, identifier)).to_pylist())


def test_csv_makes_a_table_then_appends_then_replaces(lake: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "k,v\na,1\nb,\n")
    assert ingest_file(lake, "shop.sales", file, mode="append").rows == 2
    ingest_file(lake, "shop.sales", file, mode="append")
    assert rows(lake, "shop.sales") == [{"k": "a", "v": 1}, {"k": "b", "v": None}] * 2
    ingest_file(lake, "shop.sales", write(file, "v,k\n7,c\n"), mode="replace")
    assert rows(lake, "shop.sales") == [{"k": "c", "v": 7}]


def test_each_call_is_one_metadata_commit(lake: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "k\na\n")
    for number, mode in enumerate(("append", "append", "replace")):
        ingest_file(lake, "s.t", file, mode=mode)  # type: ignore[arg-type]
        assert len(load_table(lake, "s.t").metadata.metadata_log) == number


def test_json_and_gzipped_csv_are_read(lake: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '{"k": "a", "v": 1.5}\n{"k": "b", "v": null}\n')
    ingest_file(lake, "s.t", file, mode="append")
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(b"k,v\nc,2\n"))
    ingest_file(lake, "s.t", packed, mode="append")
    assert [r["v"] for r in rows(lake, "s.t")].count(None) == 1
    assert {"k": "c", "v": 2.0} in rows(lake, "s.t")


def test_naive_times_become_instants_of_the_zone_named(lake: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "at\n2013-07-01 12:00:00\n2013-12-01 12:00:00\n")
    ingest_file(lake, "s.t", file, mode="append", options=FileOptions(timezone="America/New_York"))
    found = [row["at"] for row in rows(lake, "s.t")]
    assert found == [datetime(2013, 7, 1, 16, tzinfo=UTC), datetime(2013, 12, 1, 17, tzinfo=UTC)]
    ingest_file(lake, "s.t", file, mode="append", options=FileOptions(timezone="America/New_York"))
    with pytest.raises(
        DataError, match="2: the time '2013-07-01 12:00:00' in column 'at' has no time zone"
    ):
        ingest_file(lake, "s.t", file, mode="append")


def test_a_new_table_takes_local_times_only_when_told_to(lake: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "at\n2013-07-01 12:00:00\n")
    with pytest.raises(DataError, match="the times of 'at' have no time zone"):
        ingest_file(lake, "s.t", file, mode="append")
    assert find_table(lake, "s.t") is None
    ingest_file(lake, "s.t", file, mode="append", options=FileOptions(types={"at": "timestamp"}))
    assert rows(lake, "s.t") == [{"at": datetime(2013, 7, 1, 12)}]
    ingest_file(lake, "s.t", file, mode="append")
    with pytest.raises(DataError, match="--timezone would be lost"):
        ingest_file(lake, "s.t", file, mode="replace", options=FileOptions(timezone="UTC"))
    zoned = write(tmp_path / "b.csv", "at\n2013-07-01 12:00:00Z\n")
    with pytest.raises(DataError, match=r"the offset of .* would be lost"):
        ingest_file(lake, "s.t", zoned, mode="append")


@pytest.mark.parametrize(
    ("nanoseconds", "microseconds"), [(1, 1), (1000, 1), (1001, 2), (0, 0), (-1, 0), (-1001, -1)]
)
def test_nanoseconds_are_rounded_up(
    lake: Catalog, tmp_path: Path, nanoseconds: int, microseconds: int
) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"at": pa.array([nanoseconds], pa.timestamp("ns"))}), file)
    ingest_file(lake, "s.t", file, mode="append", options=FileOptions(timezone="UTC"))
    stored = read_arrow(load_table(lake, "s.t"))["at"].cast(pa.int64())
    assert stored.to_pylist() == [microseconds]


def test_unsigned_and_small_integers_are_stored_wider(lake: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    unsigned = {"a": pa.array([255], pa.uint8()), "b": pa.array([2**64 - 1], pa.uint64())}
    pq.write_table(pa.table(unsigned), file)
    ingest_file(lake, "s.t", file, mode="append")
    assert rows(lake, "s.t") == [{"a": 255, "b": 2**64 - 1}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k\na\n", "column 'v' is missing from the file"),
        ("k,v,w\na,1,2\n", "the table has no column 'w'"),
        ("k,v\na,many\n", "many"),
    ],
)
def test_a_file_that_does_not_fit_writes_nothing(
    lake: Catalog, tmp_path: Path, text: str, says: str
) -> None:
    ingest_file(lake, "s.t", write(tmp_path / "a.csv", "k,v\na,1\n"), mode="append")
    before = load_table(lake, "s.t").metadata_location
    with pytest.raises(DataError, match=says) as caught:
        ingest_file(lake, "s.t", write(tmp_path / "b.csv", text), mode="replace")
    assert "b.csv" in str(caught.value) and "\n" not in str(caught.value)
    assert load_table(lake, "s.t").metadata_location == before


def test_parquet_may_widen_and_not_change(lake: Catalog, tmp_path: Path) -> None:
    wide, narrow = tmp_path / "wide.parquet", tmp_path / "narrow.parquet"
    pq.write_table(pa.table({"v": pa.array([1, 2**40], pa.int64())}), wide)
    pq.write_table(pa.table({"v": pa.array([1], pa.int32())}), narrow)
    ingest_file(lake, "s.wide", wide, mode="append")
    ingest_file(lake, "s.wide", narrow, mode="append")
    ingest_file(lake, "s.narrow", narrow, mode="append")
    with pytest.raises(
        DataError, match=r"wide.parquet, row 2: column 'v' is INTEGER, .*'1099511627"
    ):
        ingest_file(lake, "s.narrow", wide, mode="append")
    ingest_file(lake, "s.narrow", wide, mode="append", changes=SchemaChanges(evolve=True))
    assert sorted(r["v"] for r in rows(lake, "s.narrow")) == [1, 1, 2**40]


def test_null_in_a_required_column_is_refused(lake: Catalog, tmp_path: Path) -> None:
    required = pa.schema([pa.field("k", pa.string(), nullable=False), pa.field("v", pa.int64())])
    commit_rows(lake, "s.t", required.empty_table(), mode="append")
    with pytest.raises(DataError, match="'k'"):
        ingest_file(lake, "s.t", write(tmp_path / "a.csv", "k,v\n,1\nx,2\n"), mode="append")


@pytest.mark.parametrize(
    ("identifier", "name", "zone", "says"),
    [
        ("sales", "a.csv", None, "dotted name"),
        ("s.t", "a.xls", None, "format"),
        ("s.t", "none.csv", None, "no such file"),
        ("s.t", "a.csv", "Mars/Olympus", "no time zone"),
    ],
)
def test_wrong_arguments_are_named(
    lake: Catalog, tmp_path: Path, identifier: str, name: str, zone: str | None, says: str
) -> None:
    write(tmp_path / "a.csv", "k\na\n")
    write(tmp_path / "a.xls", "")
    with pytest.raises(ForebayError, match=says):
        ingest_file(
            lake, identifier, tmp_path / name, mode="append", options=FileOptions(timezone=zone)
        )


def test_progress_is_told(lake: Catalog, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    ingest_file(
        lake,
        "s.t",
        write(tmp_path / "a.csv", "k\na\n"),
        mode="append",
        progress=lambda label, done, total: told.append((label, done, total)),
    )
    assert told == [("rows into s.t", 0, 1), ("rows into s.t", 1, 1)]


def test_a_commit_that_dies_leaves_no_table(
    lake: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All data is written before the catalog's one update; without it there is nothing to see."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(lake), "commit_table", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest_file(lake, "s.t", write(tmp_path / "a.csv", "k\na\n"), mode="append")
    assert find_table(lake, "s.t") is None


def test_a_conflict_is_tried_again(
    lake: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.csv", "k\na\n")
    ingest_file(lake, "s.t", file, mode="append")
    commit, calls = type(lake).commit_table, []

    def lose_once(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise CommitFailedException("somebody was faster")
        return commit(*arguments, **named)

    monkeypatch.setattr(type(lake), "commit_table", lose_once)
    ingest_file(lake, "s.t", file, mode="append")
    assert len(rows(lake, "s.t")) == 2


def test_local_times_stay_where_the_source_says_which_zone(lake: Catalog, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "at\n2013-07-01 12:00:00\n")
    options = FileOptions(keeps_local=lambda: True)
    ingest_file(lake, "s.t", file, mode="append", options=options)
    assert rows(lake, "s.t") == [{"at": datetime(2013, 7, 1, 12)}]
    zoned = FileOptions(keeps_local=lambda: True, timezone="America/New_York")
    ingest_file(lake, "s.zoned", file, mode="append", options=zoned)
    assert rows(lake, "s.zoned") == [{"at": datetime(2013, 7, 1, 16, tzinfo=UTC)}]
