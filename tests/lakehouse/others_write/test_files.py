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
