"""The reader of a topic's messages, by their format."""

from __future__ import annotations

from collections.abc import Callable

from pyiceberg.schema import Schema

from feature_specs.stream_options import StreamEntry
from lakehouse.stream.read_json import JsonReader
from lakehouse.stream.rows import RowReader


def row_reader(
    entry: StreamEntry, schema: Schema, schema_of: Callable[[int], str] | None = None
) -> RowReader:
    """What reads a source's messages as rows of its table.

    Args:
        schema: of the table.
        schema_of: gives a registry's schemas by their ids, where messages name these.

    Raises:
        DataError: the source's Avro schema does not fit the table.
    """
    if entry.format == "json":
        return JsonReader(schema)
    from lakehouse.stream.read_avro import AvroReader  # its library is not for every worker

    return AvroReader(
        schema, entry.schema or None, schema_of=schema_of, where=f"topic {entry.topic}"
    )
