"""Hash a table's rows by value, in order, independent of how they are stored.

Equal hashes mean equal columns with equal values in equal order, whatever wrote the file, and in
however many batches, files or row groups it stands. NaN, -0.0 and 0.0 are told apart by their bits.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Which hash it is, so that another one can come beside it.
ALGORITHM = "columns-sha256-1"
#: As long as a hash in hex, where none is known yet.
UNKNOWN = "0" * 64


def hash_batches(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> str:
    """The hash of rows in record batches, in hex.

    >>> batch = pa.record_batch({"n": [1, None]})
    >>> hash_batches(batch.schema, [batch]) == hash_batches(batch.schema, [batch[:1], batch[1:]])
    True
    """
    columns = [_Column() for _ in schema]
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for column, values in zip(columns, batch.columns, strict=True):
            column.add(values)
    told = [
        [field.name, _kind(field.type), *column.digests()]
        for field, column in zip(schema, columns, strict=True)
    ]
    return hashlib.sha256(json.dumps([rows, told]).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """The hash of a Parquet file's rows. Memory holds a row group at a time."""
    with pq.ParquetFile(path) as file:
        return hash_batches(file.schema_arrow, _batches(file))


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    for number in range(file.num_row_groups):
        yield from file.read_row_group(number).to_batches()


class _Column:
    """What was hashed of one column: which values there are, how long they are, and they themselves."""

    def __init__(self) -> None:
        self._there, self._lengths, self._values = (hashlib.sha256() for _ in range(3))

    def add(self, values: pa.Array) -> None:
        self._there.update(_bytes_of(values.is_valid().cast(pa.uint8()), 1))
        known = _plain(values.drop_null())
        if pa.types.is_large_binary(known.type):
            self._lengths.update(_bytes_of(pc.binary_length(known), 8))
            self._values.update(_packed(known))
        else:
            self._values.update(_bytes_of(known, known.type.bit_width // 8))

    def digests(self) -> list[str]:
        return [h.hexdigest() for h in (self._there, self._lengths, self._values)]


def _plain(values: pa.Array) -> pa.Array:
    """The same values in one of few layouts: of a fixed number of bytes each, or as one text."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(values.storage)
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    if pa.types.is_boolean(kind):
        return values.cast(pa.uint8())
    if _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return values.cast(pa.large_binary())
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        return values
    # Lists, structs and the like: their text says all that they hold.
    return pa.array([repr(v).encode() for v in values.to_pylist()], pa.large_binary())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kind(kind: pa.DataType) -> str:
    """The name of a type, the same for all layouts of it."""
    if isinstance(kind, pa.BaseExtensionType):
        return _kind(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_kind(kind.value_type)}>"  # writers call the items differently
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{f.name}: {_kind(f.type)}' for f in kind)}>"
    return str(kind).removeprefix("large_")


def _bytes_of(values: pa.Array, width: int) -> memoryview:
    """The bytes of values of a fixed width, none of them null."""
    buffer = values.buffers()[1]
    if buffer is None:
        return memoryview(b"")
    start = values.offset * width
    return memoryview(buffer)[start : start + len(values) * width]


def _packed(values: pa.Array) -> memoryview:
    """The bytes of all values of a large_binary array, one after the other."""
    if not len(values):
        return memoryview(b"")
    _, offsets, data = values.buffers()
    (start,) = struct.unpack_from("<q", offsets, values.offset * 8)
    (end,) = struct.unpack_from("<q", offsets, (values.offset + len(values)) * 8)
    return memoryview(b"") if data is None else memoryview(data)[start:end]
