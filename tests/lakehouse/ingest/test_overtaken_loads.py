"""Loads that another writer overtakes, or whose catalog is away for a moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from sqlalchemy.exc import OperationalError

from lakehouse.commit import commit_rows
from lakehouse.ingest.files import ingest_files
from lakehouse.lake import load_table
from lakehouse.layout import Layout, read_layout, sort_terms
from lakehouse.scan import pin

TABLE = "s.t"
SORTED = read_layout(None, ["n desc"], "sources.yml")
#: DuckDB's infinity, of which pyiceberg makes no bounds, so that the column goes without.
INFINITE = 2**63 - 1


def rows(*numbers: int) -> pa.Table:
    at = pa.array([INFINITE] * len(numbers), pa.timestamp("us", "UTC"))
    tags = pa.array(
        [["a"]] * len(numbers), pa.list_(pa.string())
    )  # a table with lists is written through pyiceberg
    return pa.table({"n": pa.array(numbers, pa.int64()), "until": at, "tags": tags})


def load(lake: Catalog, folder: Path, table: pa.Table, layout: Layout) -> None:
    file = folder / f"{len(list(folder.glob('*.parquet')))}.parquet"
    pq.write_table(table, file)
    ingest_files(lake, TABLE, [file], mode="append", layout=layout)


@pytest.fixture
def overtaken(lake: Catalog, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Before the first commit of a load another writer appends; the catalog is away after it.

    What happened is noted in the list that it gives.
    """
    commit_rows(lake, TABLE, rows().slice(0, 0), mode="append")
    commit, load_one = type(lake).commit_table, type(lake).load_table
    told: list[str] = []

    def commit_table(self: Any, *given: Any) -> Any:
        if not told:
            told.append("overtaken")
            monkeypatch.setattr(type(lake), "commit_table", commit)
            commit_rows(lake, TABLE, rows(1).drop_columns(["until"]), mode="append")
            monkeypatch.setattr(type(lake), "load_table", away)
        return commit(self, *given)

    def away(self: Any, name: Any) -> Any:
        told.append("away")
        if told.count("away") == 3:
            monkeypatch.setattr(type(lake), "load_table", load_one)
        raise OperationalError("select", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(type(lake), "commit_table", commit_table)
    yield told


def test_a_load_that_was_overtaken_keeps_its_order_and_outlives_an_outage(
    lake: Catalog, tmp_path: Path, overtaken: list[str]
) -> None:
    load(lake, tmp_path, rows(3, 4), SORTED)
    assert overtaken == ["overtaken", "away", "away", "away"]
    table = load_table(lake, TABLE)
    with duckdb.connect() as connection:
        found = connection.sql(
            f"select n, isinf(until) from ({pin(table).sql}) order by n"
        ).fetchall()
    assert found == [(1, None), (3, True), (4, True)]
    assert table.properties["write.metadata.metrics.column.until"] == "counts"
    assert sort_terms(table.metadata) == ['"n" desc nulls last']
