"""A catalog in a SQLite file gives the same tables with SQLAlchemy and without."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

from lakehouse.commit import commit_rows
from lakehouse.lake import find_table, load_table, open_lake, table_names
from lakehouse.sqlite_catalog import SqliteCatalog, is_sqlite_file

ROWS = pa.table({"k": [1]})


@pytest.fixture
def config(tmp_path: Path) -> dict[str, str]:
    return {
        "name": "lake",
        "uri": f"sqlite:///{tmp_path}/lake.db",
        "warehouse": (tmp_path / "warehouse").as_uri(),
    }


@pytest.fixture
def lake(config: dict[str, str]) -> Catalog:
    return open_lake(config)


@pytest.fixture
def theirs(config: dict[str, str]) -> SqlCatalog:
    return SqlCatalog(config["name"], **{k: v for k, v in config.items() if k != "name"})


def test_both_see_what_the_other_writes(lake: Catalog, theirs: SqlCatalog) -> None:
    assert isinstance(lake, SqliteCatalog)
    lake.create_namespace("a.b")
    lake.create_table("a.b.t", ROWS.schema)
    commit_rows(lake, "a.b.t", ROWS, mode="append")
    commit_rows(theirs, "a.b.t", ROWS, mode="append")
    commit_rows(theirs, "s.u", ROWS, mode="append")
    for name in ("a.b.t", "s.u"):
        ours, other = lake.load_table(name), theirs.load_table(name)
        assert ours.metadata == other.metadata and ours.name() == other.name()
        assert ours.metadata_location == other.metadata_location
    assert load_table(lake, "a.b.t").scan().count() == 2
    assert lake.list_tables("s") == theirs.list_tables("s")
    theirs.drop_table("s.u")
    assert find_table(lake, "s.u") is None


def test_of_two_commits_to_one_snapshot_one_fails(lake: Catalog, theirs: SqlCatalog) -> None:
    once = {"commit.retry.num-retries": "0"}
    commit_rows(lake, "s.t", ROWS, mode="append", properties=once)
    ours, other = lake.load_table("s.t"), theirs.load_table("s.t")
    ours.append(ROWS)
    with pytest.raises(CommitFailedException):
        other.append(ROWS)
    assert lake.load_table("s.t").scan().count() == 2


@pytest.mark.parametrize("name", ["s.none", "none.t", "S.t", "s.T", "s.t.u"])
def test_what_is_not_there(lake: Catalog, theirs: SqlCatalog, name: str) -> None:
    commit_rows(lake, "s.t", ROWS, mode="append")
    for catalog in (lake, theirs):
        with pytest.raises(NoSuchTableError):
            catalog.load_table(name)


def test_an_empty_file_and_none_have_no_tables(lake: Catalog, tmp_path: Path) -> None:
    assert find_table(lake, "s.t") is None
    assert not (tmp_path / "lake.db").exists()
    (tmp_path / "lake.db").touch()
    assert find_table(lake, "s.t") is None
    assert table_names(lake) == []


def test_views_and_catalogs_of_the_first_version(
    lake: Catalog, theirs: SqlCatalog, tmp_path: Path
) -> None:
    commit_rows(lake, "s.t", ROWS, mode="append")
    file = tmp_path / "lake.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "insert into iceberg_tables select catalog_name, table_namespace, 'v', "
            "metadata_location, null, 'VIEW' from iceberg_tables"
        )
    for catalog in (lake, theirs):
        with pytest.raises(NoSuchTableError):
            catalog.load_table("s.v")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("delete from iceberg_tables where table_name = 'v'")
        connection.execute("alter table iceberg_tables drop column iceberg_type")
    assert load_table(lake, "s.t").scan().count() == 1


def test_a_catalog_of_another_name_in_the_same_file(lake: Catalog, config: dict[str, str]) -> None:
    commit_rows(lake, "s.t", ROWS, mode="append")
    assert find_table(open_lake({**config, "name": "other"}), "s.t") is None


def test_environment_variables_configure_it(
    lake: Catalog, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__ELSE__S3__REGION", "eu")
    assert open_lake({**config, "name": "else"}).properties["s3.region"] == "eu"


@pytest.mark.parametrize(
    ("uri", "taken"),
    [
        ("sqlite:////a/b.db", True),
        ("sqlite:///b.db", True),
        ("sqlite://", False),
        ("sqlite:///", False),
        ("sqlite:///:memory:", False),
        ("sqlite:///b.db?timeout=9", False),
        ("sqlite+pysqlcipher:///b.db", False),
        ("postgresql://h/b", False),
        ("", False),
    ],
)
def test_which_catalogs_are_read_so(uri: str, taken: bool) -> None:
    assert is_sqlite_file(uri) == taken


def test_reading_needs_no_sqlalchemy(lake: Catalog, config: dict[str, str]) -> None:
    commit_rows(lake, "s.t", ROWS, mode="append")
    script = (
        "import sys\n"
        "from lakehouse.lake import load_table, open_lake\n"
        f"assert load_table(open_lake({config!r}), 's.t').scan().count() == 1\n"
        "assert 'sqlalchemy' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
