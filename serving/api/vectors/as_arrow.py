"""Vectors as an Arrow IPC stream: one record batch, a typed column a feature."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pyarrow as pa

from feature_specs.sql_types import SqlType
from serving.api.vectors.as_json import absent, ages_s
from serving.api.vectors.prepared import Prepared
from serving.api.vectors.values import HUGE, arrow_value, value_columns
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
    arrays = []
    async for declared, column in value_columns(prepared, views, arrow_value):
        arrays.append(pa.array(column, arrow_type(declared)))
    notes: dict[str, object] = {"absent": absent(views)}
    if ages:
        notes["ages"] = ages_s(views)
    fields = [
        pa.field(name, array.type) for name, array in zip(prepared.names, arrays, strict=True)
    ]
    schema = pa.schema(fields, {"forebay": orjson.dumps(notes)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pa.record_batch(arrays, schema=schema))
    body: bytes = sink.getvalue().to_pybytes()
    return body
