"""Data files that cannot be read are refused by name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import FileFormat
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from feature_specs.errors import DataError
from lakehouse.scan import added_files, pin
from tests.lakehouse.others_write.lakes import OtherEngine, with_id

SCHEMA = Schema(NestedField(1, "id", LongType()))
ROWS = pa.table([[1, 2]], schema=pa.schema([with_id("id", pa.int64(), 1)]))


@pytest.mark.parametrize(
    ("breaking", "what"),
    [
        ("missing", "a data file is missing"),
        ("cut", "a data file cannot be read: .*No magic bytes"),
        ("empty", "a data file cannot be read"),
        ("encrypted", "a data file is encrypted"),
    ],
)
def test_files_that_are_broken(breaking: str, what: str, lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    engine.append(ROWS)
    path = Path(engine.append(ROWS).file_path.removeprefix("file://"))
    whole = path.read_bytes()
    match breaking:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "empty":
            path.write_bytes(b"")
        case "encrypted":
            path.write_bytes(whole[:-4] + b"PARE")
    with pytest.raises(DataError, match=what) as info:
        engine.read()
    assert info.value.where == str(path)
    path.write_bytes(whole)
    assert [row["id"] for row in engine.read()] == [1, 1, 2, 2]


@pytest.mark.parametrize("kind", [FileFormat.AVRO, FileFormat.ORC])
def test_other_formats(kind: FileFormat, lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    path = engine.path()
    path.write_bytes(b"Obj1")
    engine.commit(engine.described(path, 1, kind=kind))
    with pytest.raises(DataError, match=f"is of format {kind.value}, and only Parquet") as info:
        engine.read()
    assert info.value.where == str(path)


def test_files_with_keys(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    path = Path(engine.write(ROWS).file_path.removeprefix("file://"))
    engine.commit(engine.described(path, 2, key_metadata=b"key"))
    with pytest.raises(DataError, match="a data file is encrypted"):
        engine.read()


def test_a_table_of_format_version_1(lake: Catalog) -> None:
    """Its manifests do not say whether they list data: all do."""
    name = "raw.first_version"
    engine = OtherEngine(lake.create_table(name, SCHEMA, properties={"format-version": "1"}))
    engine.table.append(ROWS)
    before = pin(engine.table).snapshot
    assert [row["id"] for row in engine.check()] == [1, 2]
    engine.table.append(ROWS)
    assert [row["id"] for row in engine.check()] == [1, 1, 2, 2]
    came = added_files(engine.table, before, pin(engine.table).snapshot)
    assert came is not None and len(came) == 1
    with engine.table.transaction() as change:
        change.upgrade_table_version(2)
    engine.table.append(ROWS)
    assert [row["id"] for row in engine.check()] == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("scheme", ["", "file:", "file://", "file://localhost"])
def test_paths_as_engines_spell_them(scheme: str, lake: Catalog) -> None:
    """Hadoop writes ``file:/...``; deletes name files as their manifests do."""
    engine = OtherEngine.create(lake, SCHEMA)
    path = Path(engine.write(ROWS).file_path.removeprefix("file://"))
    spelled = engine.described(path, 2, scheme=scheme)
    engine.commit(spelled)
    assert [row["id"] for row in engine.read()] == [1, 2]
    engine.commit(deletes=[engine.delete_positions((spelled, 0))])
    assert [row["id"] for row in engine.read()] == [2]


def test_files_without_rows(lake: Catalog) -> None:
    engine = OtherEngine.create(lake, SCHEMA)
    empty = engine.append(ROWS.slice(0, 0))
    assert engine.check() == []
    engine.append(ROWS)
    engine.commit(deletes=[engine.delete_positions((empty, 0))])
    assert [row["id"] for row in engine.check()] == [1, 2]


def test_a_table_that_was_moved(lake: Catalog) -> None:
    """Iceberg's paths are absolute: the file that is missed is named, and no row is lost."""
    engine = OtherEngine.create(lake, SCHEMA)
    file = engine.append(ROWS)
    home = Path(engine.table.location().removeprefix("file://"))
    (home / "data").rename(home / "elsewhere")
    with pytest.raises(DataError, match="a data file is missing") as info:
        engine.read()
    assert info.value.where == file.file_path.removeprefix("file://")
