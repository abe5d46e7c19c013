"""Copying a dbt node's rows into Iceberg: only what differs, whatever the types, and never blindly."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.catalog import LeafEntry, Origin
from feature_specs.errors import DataError, SpecError
from lakehouse.commit import commit_rows
from lakehouse.copy_leaf import Copied, copy_leaf
from lakehouse.duckdb_types import column_types
from lakehouse.lake import find_table, load_table
from lakehouse.open_end import open_end
from lakehouse.scan import pin
from tests.lakehouse.local_lake import local_lake
from tests.lakehouse.read_arrow import read_arrow

LEAF = LeafEntry("l", "l", "main.orders", "event", origin=Origin("model.shop.orders", "orders"))


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    return local_lake(tmp_path)


@pytest.fixture
def dev() -> duckdb.DuckDBPyConnection:
    """The project's database."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute("create table orders as select 1 as id, 'a' as kind, 2.5::double as x")
    return connection


def held(lake: Catalog, table: str = "main.orders") -> list[tuple[object, ...]]:
    rows = read_arrow(load_table(lake, table)).to_pylist()
    return sorted(tuple(r.values()) for r in rows)


def commits(lake: Catalog) -> int:
    return len(load_table(lake, "main.orders").snapshots())


def test_rows_that_came_are_appended_and_equal_ones_are_counted(
    lake: Catalog, dev: duckdb.DuckDBPyConnection
) -> None:
    assert copy_leaf(dev, lake, LEAF) == Copied("replaced", 1)
    assert copy_leaf(dev, lake, LEAF) == Copied("unchanged") and commits(lake) == 1
    dev.execute("insert into orders values (1, 'a', 2.5), (2, null, 'nan'), (2, null, 'nan')")
    assert copy_leaf(dev, lake, LEAF) == Copied("appended", 3) and commits(lake) == 2
    assert copy_leaf(dev, lake, LEAF) == Copied("unchanged") and commits(lake) == 2
    assert [r[:2] for r in held(lake)] == [(1, "a"), (1, "a"), (2, None), (2, None)]
    # Made anew in another order, it is the same bag of rows.
    dev.execute("create or replace table orders as select * from orders order by id desc")
    assert copy_leaf(dev, lake, LEAF) == Copied("unchanged") and commits(lake) == 2


def test_a_row_that_changed_or_went_replaces_the_table(
    lake: Catalog, dev: duckdb.DuckDBPyConnection
) -> None:
    dev.execute("insert into orders values (1, 'a', 2.5), (2, 'b', 1)")
    copy_leaf(dev, lake, LEAF)
    dev.execute("update orders set kind = 'c' where id = 2")
    assert copy_leaf(dev, lake, LEAF) == Copied("replaced", 1, 1)
    assert held(lake) == [(1, "a", 2.5), (1, "a", 2.5), (2, "c", 1.0)]
    # One of two equal rows is one row less.
    dev.execute("create or replace table orders as select distinct * from orders")
    assert copy_leaf(dev, lake, LEAF) == Copied("replaced", 0, 1)
    dev.execute("delete from orders")
    assert copy_leaf(dev, lake, LEAF) == Copied("replaced", 0, 2) and held(lake) == []


def test_columns_follow_those_of_the_node(lake: Catalog, dev: duckdb.DuckDBPyConnection) -> None:
    copy_leaf(dev, lake, LEAF)
    dev.execute("create or replace table orders as select 'b' as kind, '7' as id, true as paid")
    assert copy_leaf(dev, lake, LEAF) == Copied("replaced", 1, 1)
    table = load_table(lake, "main.orders")
    assert list(column_types(table.schema()).items()) == [
        ("kind", "VARCHAR"), ("id", "VARCHAR"), ("paid", "BOOLEAN"),
    ]  # fmt: skip
    assert held(lake) == [("b", "7", True)]
    # A column of another type is another column, so that no older file is read as it.
    assert dev.execute(pin(table).sql).fetchall() == [("b", "7", True)]
    assert copy_leaf(dev, lake, LEAF) == Copied("unchanged")


def test_every_type_comes_through_or_is_refused_by_name(
    lake: Catalog, dev: duckdb.DuckDBPyConnection
) -> None:
    kept = {
        "a": ("1::tinyint", 1), "b": ("3::uinteger", 3), "c": ("18446744073709551615::ubigint", None),
        "d": ("170::hugeint", 170), "e": ("'x'::enum('y', 'x')", "x"), "f": ("1.50::decimal(9,2)", None),
        "g": ("timestamp_ns '2024-01-01 00:00:00.000000001'", datetime(2024, 1, 1, 0, 0, 0, 1)),
        "h": ("timestamptz '2024-01-01 00:00:00+00'", datetime(2024, 1, 1, tzinfo=UTC)),
        "i": ("{'json': 1::smallint, 'two words': [2::utinyint]}", {"json": 1, "two words": [2]}),
        "j": ("map {'k': 1::usmallint}", [("k", 1)]), "k": ("[1, 2]::float[2]", [1.0, 2.0]),
        "l": ("'{\"q\": 1}'::json", '{"q": 1}'), "m": ("time '10:00:00'", None), "n": ("'z'::blob", b"z"),
        "o": ("null::date", None),
    }  # fmt: skip
    listed = ", ".join(f"{sql} as {name}" for name, (sql, _) in kept.items())
    dev.execute(f"create or replace table orders as select {listed}")
    assert copy_leaf(dev, lake, LEAF).added == 1
    (row,) = read_arrow(load_table(lake, "main.orders")).to_pylist()
    for name, (_, value) in kept.items():
        assert value is None or row[name] == value, name
    assert int(row["c"]) == 18446744073709551615 and str(row["f"]) == "1.50"
    assert copy_leaf(dev, lake, LEAF) == Copied("unchanged")
    for kind in (
        "interval '1' day",
        "'101'::bit",
        "[timestamp_ns '2024-01-01']",
        "union_value(k := 1)",
    ):
        dev.execute(f"create or replace table orders as select {kind} as odd")
        with pytest.raises(DataError, match="column 'odd' is of type") as caught:
            copy_leaf(dev, lake, LEAF)
        assert "model.shop.orders" in str(caught.value) and "cast it" in caught.value.hint
    dev.execute(
        "create or replace table orders as select 170141183460469231731687303715884105727 as a"
    )
    with pytest.raises(DataError, match="cannot be kept in Iceberg"):
        copy_leaf(dev, lake, LEAF)


def test_a_table_of_somebody_else_is_not_overwritten(
    lake: Catalog, dev: duckdb.DuckDBPyConnection
) -> None:
    commit_rows(lake, "main.orders", dev.sql("select 9 as id").to_arrow_table(), mode="append")
    with pytest.raises(DataError, match="no dbt node's") as caught:
        copy_leaf(dev, lake, LEAF)
    assert "iceberg_table" in caught.value.hint and held(lake) == [(9,)]
    other = LeafEntry("l", "l", "main.o", "event", origin=Origin("seed.shop.o", "orders"))
    copy_leaf(dev, lake, other)
    mine = LeafEntry("l", "l", "main.o", "event", origin=Origin("model.shop.orders", "orders"))
    with pytest.raises(DataError, match=r"seed\.shop\.o's"):
        copy_leaf(dev, lake, mine)


def test_a_snapshot_that_lost_versions_does_not_replace_the_history(
    lake: Catalog, dev: duckdb.DuckDBPyConnection
) -> None:
    origin = Origin("snapshot.shop.s", "versions", version_id="dbt_scd_id")
    leaf = LeafEntry("s", "s", "main.s", "history", origin=origin)
    dev.execute("create table versions as select 'v1' as dbt_scd_id, null::timestamp as valid_to")
    copy_leaf(dev, lake, leaf)
    dev.execute("update versions set valid_to = '2024-01-02'")
    dev.execute("insert into versions values ('v2', null)")
    assert copy_leaf(dev, lake, leaf) == Copied("replaced", 2, 1)
    dev.execute(
        "create or replace table versions as select 'v3' as dbt_scd_id, null::timestamp as valid_to"
    )
    with pytest.raises(DataError, match=r"2 versions .* are gone"):
        copy_leaf(dev, lake, leaf)
    assert len(held(lake, "main.s")) == 2


def test_a_node_that_is_not_there_leaves_what_was_copied(
    lake: Catalog, dev: duckdb.DuckDBPyConnection
) -> None:
    copy_leaf(dev, lake, LEAF)
    dev.execute("drop table orders")
    assert copy_leaf(dev, lake, LEAF) == Copied("missing") and len(held(lake)) == 1
    assert find_table(lake, "main.never") is None


@pytest.mark.parametrize(
    ("expression", "end"),
    [
        ("'9999-12-31'", "9999-12-31 00:00:00+00"),
        ("date '9999-12-31'", "9999-12-31 00:00:00+00"),
        ("cast('9999-12-31 10:00' as timestamp)", "9999-12-31 10:00:00+00"),
        ("'infinity'::timestamp", "infinity"),
        ("null", None),
    ],
)
def test_the_end_of_open_versions_is_a_constant(expression: str, end: str | None) -> None:
    assert open_end(expression, "s.yml") == end


@pytest.mark.parametrize(
    "expression", ["current_date", "now() + interval 9 year", "x", "12", "'x'", "("]
)
def test_an_end_that_varies_or_is_no_time_is_refused(expression: str) -> None:
    with pytest.raises(SpecError, match="dbt_valid_to_current is") as caught:
        open_end(expression, "s.yml")
    assert "9999-12-31" in caught.value.hint
