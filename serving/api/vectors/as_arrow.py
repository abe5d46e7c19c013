"""Vectors as an Arrow IPC stream: one record batch, a typed column a feature."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pyarrow as pa

from feature_specs.sql_types import SqlType
from serving.api.vectors.as_json import absent, ages_s
from serving.api.vectors.prepared import HUGE, Prepared
from serving.api.vectors.values import arrow_value, value_columns, value_rows
from serving.lookup.read import ViewRows

MEDIA_TYPE = b"application/vnd.apache.arrow.stream"

_TEXT = pa.string()
_TYPES: dict[str, pa.DataType] = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "UUID": pa.string(),
    "BLOB": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}


#: How a stream of Arrow ends.
_END = b"\xff\xff\xff\xff\0\0\0\0"


def arrow_type(declared: SqlType, huge: pa.DataType = _TEXT) -> pa.DataType:
    """The Arrow type of a DuckDB type's column. UUIDs are text, arrays fixed-size lists.

    Args:
        huge: the type of integers of more than 64 bits, which Arrow has none for.
    """
    if declared.name == "DECIMAL":
        return pa.decimal128(declared.width, declared.scale)
    if declared.name in HUGE:
        return huge
    items = [arrow_type(item, huge) for item in declared.items]
    if declared.name == "LIST":
        return pa.list_(items[0], -1 if declared.size is None else declared.size)
    if declared.name == "STRUCT":
        return pa.struct(list(zip(declared.fields, items, strict=True)))
    if declared.name == "MAP":
        return pa.map_(*items)
    return _TYPES[declared.name]


async def encode(prepared: Prepared, views: Sequence[ViewRows], ages: bool) -> bytes:
    """The answer's body. The schema's metadata ``forebay`` holds absent and ages as JSON."""
    notes: dict[str, object] = {"absent": absent(views)}
    if ages:
        notes["ages"] = ages_s(views)
    columns = prepared.keep("arrow", _Columns)
    batch = await _one(prepared, views, columns) or await _many(prepared, views, columns)
    head = columns.schema.with_metadata({"forebay": orjson.dumps(notes)}).serialize()
    return b"".join([head, batch.serialize(), _END])


class _Columns:
    """What answers of one shape share.

    Attributes:
        convert: by its place, the function from a feature's parsed JSON to what Arrow takes, of those
            that differ; floats, where some may be NaN or infinite, in ``floats``.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.types = list(map(arrow_type, prepared.sql_types))
        self.schema = pa.schema(list(zip(prepared.names, self.types, strict=True)))
        self.struct = pa.struct(list(self.schema))
        found = [(at, d, arrow_value(d)) for at, d in enumerate(prepared.sql_types)]
        self.convert = [(at, of) for at, d, of in found if of is not None and not d.is_float]
        self.floats = [(at, of) for at, d, of in found if of is not None and d.is_float]


async def _one(
    prepared: Prepared, views: Sequence[ViewRows], columns: _Columns
) -> pa.RecordBatch | None:
    """The batch of one entity: a hundred arrays of one value cost more than one of a struct."""
    if len(views[0].rows) > 1:
        return None
    parsed = await value_rows(prepared, views)
    if parsed is None:
        return None
    row = parsed.rows[0]
    for at, convert in columns.convert + (columns.floats if parsed.float_texts else []):
        row[at] = convert(row[at])
    struct = pa.array([dict(zip(prepared.names, row, strict=True))], columns.struct)
    return pa.RecordBatch.from_struct_array(struct)


async def _many(prepared: Prepared, views: Sequence[ViewRows], columns: _Columns) -> pa.RecordBatch:
    arrays: list[pa.Array] = []
    async for _, column in value_columns(prepared, views, arrow_value):
        arrays.append(pa.array(column, columns.types[len(arrays)]))
    return pa.record_batch(arrays, schema=columns.schema)
