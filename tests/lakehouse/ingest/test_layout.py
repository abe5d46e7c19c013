"""Partitions and order of a table's files, as declared, held to pyiceberg's own transforms."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.errors import ForebayError
from lakehouse.data_files.manifests import entries_of, manifests_of
from lakehouse.ingest.files import Ingested, ingest_files
from lakehouse.ingest.source import FileOptions
from lakehouse.lake import find_table, load_table
from lakehouse.layout import Layout, read_layout
from lakehouse.local_path import local_path
from tests.lakehouse.read_arrow import read_arrow

pytestmark = pytest.mark.many_cases

TABLE = "s.t"
TIMES = [
    datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(1960, 2, 29, 0, 0, 0, 1, UTC), None,
]  # fmt: skip
ROWS = pa.table(
    {
        "ts": pa.array(TIMES, pa.timestamp("us", "UTC")),
        "local": pa.array([None if t is None else t.replace(tzinfo=None) for t in TIMES],
                          pa.timestamp("us")),
        "day": pa.array([None if t is None else t.date() for t in TIMES], pa.date32()),
        "n": pa.array([0, -1, 2**62, -(2**62), 16, None, -17], pa.int64()),
        "i": pa.array([0, -1, 2**31 - 1, 8 - 2**31, 16, None, -17], pa.int32()),
        "k": ["a", "", None, "äöü𝄞x", "it's/=%2F", "__HIVE_DEFAULT_PARTITION__", "a b"],
        "ok": [True, False, None, True, True, False, None],
    }
)  # fmt: skip

SPECS = [
    "year(ts)", "month(ts)", "day(ts)", "hour(ts)", "year(local)", "month(local)", "day(local)",
    "hour(local)", "year(day)", "month(day)", "day(day)", "n", "i", "k", "day", "ok", "truncate(4, n)",
    "truncate(10, i)", "truncate(3, k)", "bucket(16, n)", "bucket(7, i)", "bucket(5, k)", "bucket(9, ts)",
    "bucket(4, local)", "bucket(3, day)",
]  # fmt: skip


def load(lake: Catalog, folder: Path, rows: pa.Table, layout: Layout) -> Ingested:
    file = folder / f"{len(list(folder.glob('*.parquet')))}.parquet"
    pq.write_table(rows, file)
    local = FileOptions(keeps_local=lambda: True)
    return ingest_files(
        lake, TABLE, [file], mode="append", layout=layout, again=True, options=local
    )


def check_partitions(lake: Catalog) -> int:
    """Each row lies in the partition that pyiceberg's transforms make of it. Returns the files."""
    table = load_table(lake, TABLE)
    files = 0
    for manifest in manifests_of(table, table.metadata.current_snapshot_id):
        spec = table.specs()[manifest.partition_spec_id]
        for entry in entries_of(table, manifest):
            files += 1
            rows = pq.ParquetFile(local_path(entry.data_file.file_path)).read().to_pylist()
            assert len(rows) == entry.data_file.record_count
            for place, field in enumerate(spec.fields):
                column = table.schema().find_field(field.source_id)
                transform = field.transform.transform(column.field_type)
                given = entry.data_file.partition[place]
                for row in rows:
                    assert transform(_as_iceberg(row[column.name])) == given, (field, row)
    return files


def _as_iceberg(value: Any) -> Any:
    if isinstance(value, datetime):
        epoch = datetime(1970, 1, 1, tzinfo=value.tzinfo)
        return (value - epoch) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - date(1970, 1, 1)).days
    return value


@pytest.mark.parametrize("text", SPECS)
def test_each_row_lies_in_its_partition(lake: Catalog, tmp_path: Path, text: str) -> None:
    layout = read_layout([text], None, "sources.yml")
    assert load(lake, tmp_path, ROWS, layout).rows == len(TIMES)
    assert check_partitions(lake) > 1
    kept, given = read_arrow(load_table(lake, TABLE)).to_pylist(), ROWS.to_pylist()
    assert sorted(kept, key=repr) == sorted(given, key=repr)
    # pyiceberg's own planning finds rows by their partition.
    for row in given:
        if row["n"] is not None and row["k"] is not None:
            spelled = row["k"].replace("'", "''")
            table = load_table(lake, TABLE)
            found = table.scan(row_filter=f"n = {row['n']} and k = '{spelled}'").to_arrow()
            assert found["k"].to_pylist() == [row["k"]]


def test_two_fields_and_an_order_hold_for_many_rows(lake: Catalog, tmp_path: Path) -> None:
    count = 20_000
    rows = pa.table(
        {
            "key": pa.array([(n * 7919) % 500 for n in range(count)], pa.int64()),
            "ts": pa.array([n * 11_000_000 for n in range(count)], pa.timestamp("us", "UTC")),
        }
    )
    layout = read_layout(["day(ts)", "bucket(2, key)"], ["key", "ts desc"], "sources.yml")
    load(lake, tmp_path, rows, layout)
    table = load_table(lake, TABLE)
    assert check_partitions(lake) == 3 * 2
    assert Counter(read_arrow(table)["key"].to_pylist()) == Counter(rows["key"].to_pylist())
    order = table.sort_order()
    assert [str(f.direction) for f in order.fields] == ["ASC", "DESC"]


def test_a_table_without_partitions_is_written_in_order(lake: Catalog, tmp_path: Path) -> None:
    keys = [(n * 7919) % 1000 for n in range(5000)]
    load(lake, tmp_path, pa.table({"key": pa.array(keys)}), read_layout(None, "key", "s.yml"))
    assert read_arrow(load_table(lake, TABLE))["key"].to_pylist() == sorted(keys)


def test_a_layout_that_changes_holds_for_what_comes(lake: Catalog, tmp_path: Path) -> None:
    load(lake, tmp_path, ROWS, Layout())
    load(lake, tmp_path, ROWS, read_layout(["day(ts)"], ["n"], "sources.yml"))
    before = load_table(lake, TABLE).metadata
    load(lake, tmp_path, ROWS, read_layout(["day(ts)"], ["n"], "sources.yml"))
    after = load_table(lake, TABLE).metadata
    assert after.default_spec_id == before.default_spec_id
    assert after.default_sort_order_id == before.default_sort_order_id
    load(lake, tmp_path, ROWS, read_layout(["bucket(2, k)"], None, "sources.yml"))
    check_partitions(lake)
    assert Counter(read_arrow(load_table(lake, TABLE))["n"].to_pylist()) == Counter(
        ROWS["n"].to_pylist() * 4
    )


@pytest.mark.parametrize(
    ("partition_by", "sort_by", "says"),
    [
        (["week(ts)"], None, r"partition_by has 'week\(ts\)'"),
        (["bucket(k)"], None, "partition_by has"),
        (["day(none)"], None, "'none', which is not a column"),
        (["ts"], None, r"of a column of times take its day: day\(ts\)"),
        (["day(k)"], None, "cannot be made of 'k', which is string"),
        (None, ["n sideways"], "sort_by has 'n sideways'"),
        (None, [{"n": 1}], "meta has"),
    ],
)
def test_what_cannot_be_is_refused(
    lake: Catalog, tmp_path: Path, partition_by: object, sort_by: object, says: str
) -> None:
    with pytest.raises(ForebayError, match=says):
        load(lake, tmp_path, ROWS, read_layout(partition_by, sort_by, "sources.yml"))
    assert find_table(lake, TABLE) is None


def test_a_number_that_cannot_be_truncated_has_no_partition(lake: Catalog, tmp_path: Path) -> None:
    rows = pa.table({"n": pa.array([1, -(2**31)], pa.int32())})
    with pytest.raises(ForebayError, match=r"of no partition by truncate\(10, n\)"):
        load(lake, tmp_path, rows, read_layout(["truncate(10, n)"], None, "sources.yml"))


def test_an_infinite_time_has_no_partition(lake: Catalog, tmp_path: Path) -> None:
    rows = pa.table({"ts": pa.array([0, 2**63 - 1], pa.timestamp("us", "UTC"))})
    with pytest.raises(ForebayError, match=r"of no partition by day\(ts\)|infinite"):
        load(lake, tmp_path, rows, read_layout(["day(ts)"], None, "sources.yml"))
    assert find_table(lake, TABLE) is None
