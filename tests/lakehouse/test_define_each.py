"""A table that cannot be read stops what reads it, with its own error, and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from feature_specs.errors import DataError, ForebayError, UnknownNameError
from lakehouse.commit import commit_rows
from lakehouse.data_files import footers, manifests
from lakehouse.data_files.find_unreadable import find_unreadable
from lakehouse.define_each import define_each
from lakehouse.lake import load_table
from lakehouse.local_path import local_path
from lakehouse.relations import pin_each, pin_relations
from lakehouse.scan import pin
from tests.lakehouse.others_write.lakes import lake_in

pytestmark = pytest.mark.slow

NAMES = ("bad", "good")
RELATIONS = {f'"shop"."raw"."{name}"': f"raw.{name}" for name in NAMES}
BAD, GOOD = RELATIONS
ROWS = pa.table({"k": [1, 2, None], "v": ["x", "y", "z"]})


@pytest.fixture
def lake(tmp_path: Path) -> Catalog:
    lake = lake_in(tmp_path)
    for name in NAMES:
        commit_rows(lake, f"raw.{name}", ROWS, mode="append")
    return lake


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Read files anew that a process takes to never change, as the next process does."""

    def forget() -> None:
        monkeypatch.setattr(footers, "_shapes", {})
        monkeypatch.setattr(manifests, "_lists", manifests._Parsed(10))
        monkeypatch.setattr(manifests, "_entries", manifests._Parsed(10))

    return forget


def data_file(lake: Catalog) -> Path:
    return Path(local_path(pin(load_table(lake, "raw.bad")).files[0].data_file.file_path))


def metadata_file(lake: Catalog) -> Path:
    return Path(local_path(load_table(lake, "raw.bad").metadata_location))


def manifest_list(lake: Catalog) -> Path:
    snapshot = load_table(lake, "raw.bad").current_snapshot()
    assert snapshot is not None
    return Path(local_path(snapshot.manifest_list))


def manifest(lake: Catalog) -> Path:
    table = load_table(lake, "raw.bad")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return Path(local_path(snapshot.manifests(table.io)[0].manifest_path))


def open_shop(folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(folder / "shop.duckdb")


#: Statements to which DuckDB could know the answer without a row, were the relation empty or null.
READERS = (
    "select * from {}",
    "select count(*) from {}",
    "select k from {} where k is not null",
    "select * from {} where false",
    "select k from {} limit 0",
    "select 1 where exists (from {})",
    "select 1 from (values (1)) as x(k) anti join {} using (k)",
    "create or replace table copied as from {}",
)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *((data_file, damage) for damage in ("missing", "empty", "cut", "text")),
        *((file, "missing") for file in (metadata_file, manifest_list, manifest)),
        *((file, "cut") for file in (metadata_file, manifest_list, manifest)),
    ],
)
def test_whatever_is_asked_of_it(
    file: Callable[[Catalog], Path],
    damage: str,
    lake: Catalog,
    tmp_path: Path,
    forget: Callable[[], None],
) -> None:
    connection = open_shop(tmp_path)
    assert define_each(connection, lake, RELATIONS).failed == {}
    connection.execute("create view shop.main.staged as select k, v from shop.raw.bad")
    path = file(lake)
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "cut": whole[:-20], "text": b"hello"}[damage])
    forget()
    done = define_each(connection, lake, RELATIONS)
    assert list(done.pinned) == [GOOD] and list(done.failed) == [BAD]
    error = done.failed[BAD]
    assert isinstance(error, DataError) and "Iceberg table 'raw.bad' cannot be read: " in error.what
    assert "is missing" in error.what if damage == "missing" else "missing" not in error.what
    if file is not metadata_file or damage == "missing":
        assert str(error.where) == str(path)
    for reader in (*READERS, "select count(*) from shop.main.staged"):
        with pytest.raises(duckdb.Error) as refused:
            connection.execute(reader.format(BAD))
        assert str(error) in str(refused.value)
    assert connection.execute(f"select sum(k) from {GOOD}").fetchall() == [(3,)]
    # dbt lists the columns of what there is, whatever can be read of it.
    listed = "select column_name, data_type from duckdb_columns() where table_name = 'bad'"
    assert connection.execute(listed).fetchall() == [("k", "BIGINT"), ("v", "VARCHAR")]
    with pytest.raises(DataError) as raised:
        pin_relations(lake, RELATIONS)
    # Of a file that was cut pyiceberg's parser reads on into memory, and says what it met there.
    assert str(raised.value).partition(" damaged: ")[0] == str(error).partition(" damaged: ")[0]

    path.write_bytes(whole)
    connection.close()
    with open_shop(tmp_path) as again:
        assert define_each(again, lake, RELATIONS).failed == {}
        assert again.execute("select sum(k) from shop.main.staged").fetchall() == [(3,)]


def test_all_of_them_and_a_table_that_is_gone(
    lake: Catalog, tmp_path: Path, forget: Callable[[], None]
) -> None:
    data_file(lake).unlink()
    lake.drop_table("raw.good")
    forget()
    with open_shop(tmp_path) as connection:
        done = define_each(connection, lake, RELATIONS)
        assert done.pinned == {} and isinstance(done.failed[GOOD], UnknownNameError)
        with pytest.raises(duckdb.Error, match=r"there is no Iceberg table 'raw\.good'"):
            connection.execute(f"from {GOOD}")
        # Neither is anything known of its columns.
        with pytest.raises(duckdb.Error, match=r"there is no Iceberg table 'raw\.good'"):
            connection.execute(f"select k from {GOOD}")
    with pytest.raises(ForebayError) as both:
        pin_relations(lake, RELATIONS)
    assert "raw.bad" in str(both.value) and "raw.good" in str(both.value)


def test_a_table_of_the_users_is_left_alone(
    lake: Catalog, tmp_path: Path, forget: Callable[[], None]
) -> None:
    with open_shop(tmp_path) as connection:
        connection.execute(f"create schema raw; create table {BAD} as select 7 as k")
        with pytest.raises(DataError, match="is a table in the project's DuckDB file"):
            define_each(connection, lake, RELATIONS)
        data_file(lake).unlink()
        forget()
        with pytest.raises(DataError, match="is a table in the project's DuckDB file"):
            define_each(connection, lake, RELATIONS)
        # No table of the lake any more: then the rows are the database's own.
        lake.drop_table("raw.bad")
        assert list(define_each(connection, lake, RELATIONS).failed) == [BAD]
        assert connection.execute(f"from {BAD}").fetchall() == [(7,)]


def test_a_file_that_goes_after_its_footer_was_read(lake: Catalog, tmp_path: Path) -> None:
    assert pin_each(lake, RELATIONS).failed == {}
    data_file(lake).unlink()
    with open_shop(tmp_path) as connection:
        done = define_each(connection, lake, RELATIONS)
        assert list(done.pinned) == [GOOD]
        assert "a data file is missing" in done.failed[BAD].what
        with pytest.raises(duckdb.Error, match="a data file is missing"):
            connection.execute(f"select count(*) from {BAD}")


def test_nobody_reads_it_as_empty_while_another_is_refused(
    lake: Catalog, tmp_path: Path, forget: Callable[[], None]
) -> None:
    """The macro behind refused relations is harmless for a moment that nobody else may see."""
    data_file(lake).unlink()
    forget()
    with open_shop(tmp_path) as connection:
        define_each(connection, lake, RELATIONS)
        read: list[object] = []
        stop = threading.Event()

        def look() -> None:
            cursor = connection.cursor()
            while not stop.is_set():
                try:
                    read.append(cursor.execute(f"from {BAD}").fetchall())
                except duckdb.Error as error:
                    read.append(str(error))

        other = threading.Thread(target=look)
        other.start()
        try:
            for _ in range(20):
                define_each(connection.cursor(), lake, RELATIONS)
        finally:
            stop.set()
            other.join()
        assert read and all("a data file is missing" in str(found) for found in read)


def test_damage_that_shows_only_when_rows_are_read(
    lake: Catalog, tmp_path: Path, forget: Callable[[], None]
) -> None:
    path = data_file(lake)
    whole = path.read_bytes()
    # The pages stand between the head and the footer.
    path.write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])
    forget()
    with open_shop(tmp_path) as connection:
        done = define_each(connection, lake, RELATIONS)
        assert done.failed == {}
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(f"select sum(k), max(v) from {BAD}").fetchall()
        tables = [done.pinned[GOOD], done.pinned[BAD]]
        found = find_unreadable(connection, raised.value, tables)
        assert found is not None and found.where == str(path)
        assert "a data file cannot be read" in found.what
        # What names no file is looked for, and no file is blamed for what it did not do.
        nameless = find_unreadable(connection, duckdb.Error("Corrupted file?"), tables)
        assert nameless is not None and nameless.where == str(path)
        path.write_bytes(whole)
        assert find_unreadable(connection, duckdb.Error("Corrupted file?"), tables) is None
        assert find_unreadable(connection, duckdb.ConversionException("x"), tables) is None
