"""Reading an object store by DuckDB: what is asked of it, and that threads never mix up places."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io import InputFile, InputStream
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, ManifestEntry, ManifestEntryStatus

from feature_specs.errors import DataError
from lakehouse.data_files.footers import path_list, shapes_of
from lakehouse.remote.duckdb_files import DuckDbFiles
from lakehouse.remote.mount_files import mount
from lakehouse.remote.remote_files import know_files, known_file

ROWS = 300_000


class CountingIO(PyArrowFileIO):
    """Files of a folder as those of a bucket; notes each read."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.reads = folder, list[tuple[str, int, int]]()

    def new_input(self, location: str) -> InputFile:  # type: ignore[override]
        return _Input(self, location)


class _Input(InputFile):
    def __init__(self, io: CountingIO, location: str) -> None:
        super().__init__(location)
        self._io = io

    def __len__(self) -> int:
        return (self._io.folder / self.location.rpartition("/")[2]).stat().st_size

    def exists(self) -> bool:
        return True

    def open(self, seekable: bool = True) -> InputStream:
        return _Stream(self._io, self.location)  # type: ignore[return-value]


class _Stream:
    def __init__(self, io: CountingIO, location: str) -> None:
        self._io, self._location = io, location
        self._file = pa.OSFile(str(io.folder / location.rpartition("/")[2]))

    def read_at(self, length: int, offset: int) -> bytes:
        self._io.reads.append((self._location, offset, length))
        return bytes(self._file.read_at(length, offset))


@pytest.fixture
def store(tmp_path: Path) -> CountingIO:
    return CountingIO(tmp_path)


def add(store: CountingIO, name: str, first: int = 0) -> str:
    """Write a file of several row groups, and let DuckDB know it."""
    values = range(first, first + ROWS)
    columns = {"n": pa.array(values), "other": pa.array([str(v) for v in values])}
    pq.write_table(pa.table(columns), store.folder / name, row_group_size=ROWS // 8)
    location = f"s3://bucket/{store.folder.name}/{name}"
    size = (store.folder / name).stat().st_size
    know_files(store, [entry(location, size)])
    return location


def entry(location: str, size: int) -> ManifestEntry:
    file = DataFile.from_args(file_path=location, file_size_in_bytes=size)
    return ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, data_file=file)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def test_only_the_columns_asked_for_are_fetched_and_nothing_twice(
    store: CountingIO, connection: duckdb.DuckDBPyConnection
) -> None:
    locations = [add(store, "a [1]*?.parquet"), add(store, "b.parquet", ROWS)]
    shapes = shapes_of(locations)
    assert [[c.name for c in shapes[name]] for name in locations] == [["n", "other"]] * 2
    assert len(store.reads) == 2  # the end of each
    mount(connection)
    sql = f"select sum(n) from read_parquet({path_list(locations)})"
    assert connection.execute(sql).fetchall() == [(sum(range(2 * ROWS)),)]
    fetched = sum(length for _, _, length in store.reads)
    whole = sum((store.folder / name.rpartition("/")[2]).stat().st_size for name in locations)
    assert fetched < whole * 2 / 3
    before = len(store.reads)
    assert connection.execute(sql).fetchall() == [(sum(range(2 * ROWS)),)]
    assert len(store.reads) == before


def test_threads_that_share_an_open_file_read_where_each_of_them_is(store: CountingIO) -> None:
    location = add(store, "shared.parquet")
    file, found = known_file(location), dict[int, bool]()
    assert file is not None
    whole = (store.folder / "shared.parquet").read_bytes()
    opened = DuckDbFiles().open(location)
    both = threading.Barrier(2)

    def read(number: int, place: int) -> None:
        opened.seek(place)
        both.wait()
        data = opened.read(1_000)
        found[number] = data == whole[place : place + 1_000] and opened.tell() == place + 1_000

    threads = [threading.Thread(target=read, args=(n, 100_000 * n)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: True, 1: True}


def test_a_file_that_went_is_named(store: CountingIO) -> None:
    location = add(store, "gone.parquet")
    (store.folder / "gone.parquet").unlink()
    with pytest.raises(DataError, match="a data file is missing") as raised:
        shapes_of([location])
    assert raised.value.where == location


def test_other_remote_files_are_not_there_and_none_is_written(
    store: CountingIO, connection: duckdb.DuckDBPyConnection
) -> None:
    location = add(store, "known.parquet")
    mount(connection)
    with pytest.raises(duckdb.IOException, match="No files found"):
        connection.execute("from read_parquet('s3://bucket/of-somebody-else.parquet')")
    with pytest.raises(duckdb.Error, match="only reads"):
        connection.execute(f"copy (select 1) to '{location}' (format parquet)")


def test_a_file_that_is_shorter_than_its_table_says_is_an_error(store: CountingIO) -> None:
    location = add(store, "cut.parquet")
    path, file = store.folder / "cut.parquet", known_file(location)
    assert file is not None
    whole = path.read_bytes()
    path.write_bytes(whole[:-300_000])
    assert file.read(10, 100) == whole[10:110]
    for start, length in [(len(whole) - 8, 8), (len(whole) - 300_100, 200), (0, len(whole))]:
        with pytest.raises(OSError, match=f"cut.parquet is shorter than the {len(whole)} bytes"):
            file.read(start, length)


def test_the_end_of_a_file_is_not_that_of_another_size(store: CountingIO) -> None:
    location = add(store, "again.parquet")
    first = known_file(location)
    assert first is not None and first.read(first.size - 4, 4) == b"PAR1"
    path = store.folder / "again.parquet"
    path.write_bytes(path.read_bytes() + b"more")
    know_files(CountingIO(store.folder), [entry(location, first.size + 4)])
    second = known_file(location)
    assert second is not None and second.read(second.size - 8, 8) == b"PAR1more"


def test_a_read_of_all_of_a_file_is_one_request_that_is_not_kept(store: CountingIO) -> None:
    file = known_file(add(store, "all.parquet"))
    assert file is not None
    whole = (store.folder / "all.parquet").read_bytes()
    assert file.read(0, len(whole) + 9) == whole
    assert store.reads == [(file.location, 0, len(whole))]
    for start in (0, 1, len(whole) - (128 << 10) - 1, len(whole) - (128 << 10), len(whole) - 9):
        for length in (0, 1, 8, 40_000, len(whole)):
            assert file.read(start, length) == whole[start : start + length]
    assert file.read(len(whole), 5) == file.read(len(whole) + 7, 5) == b""
