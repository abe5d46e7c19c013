"""Rows that other engines deleted, without writing the files anew."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import LongType, NestedField

from feature_specs.errors import DataError
from tests.lakehouse.others_write.lakes import OtherEngine, with_id

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "v", LongType()))
IDS = pa.schema([with_id("id", pa.int64(), 1), with_id("v", pa.int64(), 2)])


def numbers(*ids: int, schema: pa.Schema = IDS) -> pa.Table:
    return pa.Table.from_pylist([{"id": i, "v": i * i} for i in ids], schema=schema)


def ids(engine: OtherEngine) -> list[int]:
    return sorted(row["id"] for row in engine.check())


def test_position_deletes(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA, mapped=True)
    first = engine.append(numbers(*range(5)))
    second = engine.append(numbers(*range(5, 10), schema=IDS.remove_metadata()))
    engine.append(numbers(10))
    engine.commit(deletes=[engine.delete_positions((first, 1), (first, 3), (second, 0))])
    assert ids(engine) == [0, 2, 4, 6, 7, 8, 9, 10]
    engine.commit(
        deletes=[engine.delete_positions((second, 0)), engine.delete_positions((first, 0))]
    )
    assert ids(engine) == [2, 4, 6, 7, 8, 9, 10]
    with engine.table.update_schema() as change:
        change.rename_column("v", "w")
        change.add_column("new", LongType())
    assert ids(engine) == [2, 4, 6, 7, 8, 9, 10]
    whole = [engine.delete_positions(*((first, n) for n in range(5)))]
    engine.commit(deletes=whole)
    assert ids(engine) == [6, 7, 8, 9, 10]
    compacted = engine.write(numbers(*range(6, 11)))
    engine.commit(compacted, removed=[first, second], operation=Operation.REPLACE)
    engine.commit(deletes=[engine.delete_positions((compacted, 4))])
    assert ids(engine) == [6, 7, 8, 9, 10]  # 10 was in a third file too


def test_a_delete_of_many_row_groups(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    file = engine.append(numbers(*range(1000)), row_group_size=100)
    gone = range(0, 1000, 7)
    engine.commit(deletes=[engine.delete_positions(*((file, n) for n in gone))])
    assert ids(engine) == sorted(set(range(1000)) - set(gone))


def test_a_file_that_is_added_again_is_whole(lake: Catalog) -> None:
    """Deletes hold for files that are not newer. pyiceberg looks at the file's name alone."""
    engine = OtherEngine.create(lake, SCHEMA)
    file = engine.append(numbers(1, 2))
    engine.commit(deletes=[engine.delete_positions((file, 0))])
    engine.commit(removed=[file], operation=Operation.DELETE)
    assert engine.read() == []
    engine.commit(file)
    assert [row["id"] for row in engine.read()] == [1, 2]


def test_equality_deletes_are_refused_by_name(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    engine.append(numbers(1, 2))
    gone = engine.write(pa.table([[1]], schema=pa.schema([with_id("id", pa.int64(), 1)])))
    said = engine.described(
        Path(gone.file_path.removeprefix("file://")),
        1,
        content=DataFileContent.EQUALITY_DELETES,
        equality_ids=[1],
    )
    engine.commit(deletes=[said])
    with pytest.raises(DataError, match="another engine deleted rows by equality") as info:
        engine.read()
    assert info.value.where == gone.file_path.removeprefix("file://")


def test_deletion_vectors_are_refused_by_name(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    engine.append(numbers(1, 2))
    path = engine.path("vectors.puffin")
    path.write_bytes(b"PFA1")
    content = DataFileContent.POSITION_DELETES
    engine.commit(deletes=[engine.described(path, 1, content=content, kind=FileFormat.PUFFIN)])
    with pytest.raises(DataError, match="a delete file is of format PUFFIN") as info:
        engine.read()
    assert info.value.where == str(path)
