"""Of two that computed rows from the same table one commits; the other fails and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from feature_specs.errors import DataError
from lakehouse.commit import Mode, commit_rows
from lakehouse.lake import load_table, open_lake
from lakehouse.relations import tune
from lakehouse.scan import pin
from lakehouse.write_rows import write_query
from tests.lakehouse.local_lake import local_lake
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server

#: A table of plain columns is written by DuckDB, one with a list by way of Arrow.
TABLES = {"plain": "select 1 as n, 'a' as name", "nested": "select 1 as n, ['a'] as names"}


@pytest.fixture(
    params=["sqlite", *(pytest.param(k, marks=pytest.mark.slow) for k in ("sql", "rest"))]
)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    if request.param == "sqlite":
        yield local_lake(tmp_path)
        return
    from tests.forebay.elsewhere.lakes import open_elsewhere

    postgres: PostgresServer = request.getfixturevalue("postgres")
    s3: S3Server = request.getfixturevalue("s3")
    with open_elsewhere((request.param, "s3"), postgres, s3, tmp_path) as found:
        keys = s3.properties() if request.param == "sql" else {}
        yield open_lake({**found.config, **keys})


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("kind", TABLES)
def test_the_second_of_two_is_overtaken(lake: Catalog, kind: str, mode: Mode) -> None:
    with duckdb.connect() as connection:
        tune(connection)
        rows = connection.sql(f"from ({TABLES[kind]})").to_arrow_table()
        commit_rows(lake, "raw.things", rows, mode="append")

        def writer() -> Callable[[], int]:
            return write(connection, lake, load_table(lake, "raw.things"), TABLES[kind], mode)

        first, second = writer(), writer()
        first()
        with pytest.raises(DataError, match="another build committed first") as raised:
            second()
        assert "run it again" in raised.value.hint
        pinned = pin(load_table(lake, "raw.things"))
        wanted = 2 if mode == "append" else 1
        assert connection.execute(f"select count(*) from ({pinned.sql})").fetchall() == [(wanted,)]
        writer()()  # who starts over from the new state succeeds


def test_one_of_two_first_builds_is_overtaken(lake: Catalog) -> None:
    with duckdb.connect() as connection:
        tune(connection)
        both = [write(connection, lake, None, TABLES["plain"], "append") for _ in range(2)]
        both[0]()
        with pytest.raises(DataError, match="another build committed first"):
            both[1]()
        pinned = pin(load_table(lake, "raw.things"))
        assert connection.execute(f"select count(*) from ({pinned.sql})").fetchall() == [(1,)]


def write(
    connection: duckdb.DuckDBPyConnection, lake: Catalog, table: Table | None, sql: str, mode: Mode
) -> Callable[[], int]:
    types = dict(zip(*_columns(connection, sql), strict=True))
    return write_query(
        connection, lake, "raw.things", sql, types, at=datetime(2024, 1, 1, tzinfo=UTC),
        mode=mode, columns="fixed", properties={"forebay.state": "x"}, table=table,
    )  # fmt: skip


def _columns(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[str]]:
    found = connection.sql(sql)
    return found.columns, [str(kind) for kind in found.types]
