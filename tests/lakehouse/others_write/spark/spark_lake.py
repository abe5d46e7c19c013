"""Unpack tables that Spark 4.1 with Iceberg 1.12 wrote, and what Spark itself read of them.

The archive is written by ``write_tables.py``. In the one that is here, Spark's own rows stand beside
``raw.events`` alone; the others came of an earlier run, and are held to pyiceberg's reading. The files of a table hold absolute paths; each is
replaced by one of the same length, so that nothing else in them changes.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import tarfile
import zlib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from lakehouse.lake import find_table
from tests.lakehouse.others_write.spark.write_tables import LENGTH, WAREHOUSE

ARCHIVE = Path(__file__).with_name("tables.tar.xz")


@dataclass(frozen=True)
class Step:
    """A table after one statement of Spark's.

    Attributes:
        metadata: the file at which the catalog then points.
        rows: as Spark reads them, in the order of ``columns``; None where it was not asked.
    """

    table: str
    name: str
    metadata: str
    columns: list[str]
    rows: list[tuple[Any, ...]] | None

    def table_in(self, lake: Catalog) -> Table:
        """The table as it was then, registered in a catalog."""
        if find_table(lake, self.table) is not None:
            lake.drop_table(self.table)
        return lake.register_table(self.table, f"file://{self.metadata}")


def unpack(folder: Path) -> list[Step]:
    """The steps of all tables, in their order."""
    warehouse = folder / ("w" * (LENGTH - len(str(folder)) - 1))
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(warehouse, filter="data")
    old, new = str(WAREHOUSE), str(warehouse)
    assert len(old) == len(new)
    for path in warehouse.rglob("*"):
        if path.is_file():
            _move(path, old, new)
    said = json.loads((warehouse / "said.json").read_text())
    return [
        Step(
            each["table"],
            each["step"],
            str(warehouse / each["metadata"]),
            each["columns"],
            each["rows"] and [tuple(map(_revived, row)) for row in each["rows"]],
        )
        for each in said
    ]


def _move(path: Path, old: str, new: str) -> None:
    data = path.read_bytes()
    if path.suffix == ".avro":
        data = _moved_avro(data, old.encode(), new.encode())
    elif path.name.endswith(".gz.metadata.json"):
        data = gzip.compress(gzip.decompress(data).replace(old.encode(), new.encode()))
    elif path.name.endswith("-deletes.parquet"):
        rows = pq.read_table(path)
        named = pc.replace_substring(rows["file_path"], old, new)
        place = rows.schema.get_field_index("file_path")
        pq.write_table(rows.set_column(place, rows.schema.field(place), named), path)
        return
    else:
        data = data.replace(old.encode(), new.encode())
    path.write_bytes(data)


def _moved_avro(data: bytes, old: bytes, new: bytes) -> bytes:
    """An Avro file whose blocks, packed or not, hold another text of the same length."""
    file = io.BytesIO(data)
    assert file.read(4) == b"Obj\x01"
    meta: dict[bytes, bytes] = {}
    while count := _number(file):
        if count < 0:
            count = -count
            _number(file)
        for _ in range(count):
            key = file.read(_number(file))
            meta[key] = file.read(_number(file))
    mark = file.read(16)
    codec = meta.get(b"avro.codec", b"null")
    assert codec in (b"null", b"deflate"), codec
    out = [data[: file.tell()].replace(old, new)]
    while file.tell() < len(data):
        count, block = _number(file), file.read(_number(file))
        assert file.read(16) == mark
        if codec == b"deflate":
            packer = zlib.compressobj(wbits=-15)
            block = packer.compress(zlib.decompress(block, -15).replace(old, new)) + packer.flush()
        else:
            block = block.replace(old, new)
        out += [_as_number(count), _as_number(len(block)), block, mark]
    return b"".join(out)


def _number(file: io.BytesIO) -> int:
    value = shift = 0
    while True:
        (byte,) = file.read(1)
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)


def _as_number(number: int) -> bytes:
    value, out = number << 1, bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _revived(value: Any) -> Any:
    match value:
        case {"at": str() as text}:
            return dt.datetime.fromisoformat(text)
        case {"date": str() as text}:
            return dt.date.fromisoformat(text)
        case {"dec": str() as text}:
            return Decimal(text)
        case {"float": str() as text}:
            return float(text)
        case {"hex": str() as text}:
            return bytes.fromhex(text)
        case {"map": list() as pairs}:
            return [(_revived(k), _revived(v)) for k, v in pairs]
        case {"row": dict() as fields}:
            return {name: _revived(v) for name, v in fields.items()}
        case list():
            return [_revived(v) for v in value]
    return value


def alike(rows: pa.Table, step: Step) -> bool:
    """Whether rows are those that Spark read, in any order; true where it was not asked."""
    if step.rows is None:
        return True
    ours = Counter(repr([_plain(v) for v in row.values()]) for row in rows.to_pylist())
    theirs = Counter(repr([_plain(v) for v in row]) for row in step.rows)
    return rows.column_names == step.columns and ours == theirs


def _plain(value: Any) -> Any:
    """A value without what Spark's Python does not say: zones, and the order of a map."""
    match value:
        case dt.datetime():
            return value.replace(tzinfo=None)
        case dict():
            return {name: _plain(v) for name, v in value.items()}
        case tuple():
            return tuple(map(_plain, value))
        case list() if value and all(isinstance(v, tuple) for v in value):
            return sorted(((_plain(k), _plain(v)) for k, v in value), key=repr)
        case list():
            return [_plain(v) for v in value]
    return value
