"""Give a caller's rows to an engine: some of their columns, and each row's number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_specs.errors import DataError
from forebay.training.own_rows import SPINE, OwnRows

#: The column that numbers the rows, from 0.
ROW = "forebay_row"


def write_numbered(own: OwnRows, names: Sequence[str], path: Path) -> None:
    """Write some columns of a caller's rows, and each row's number, to a Parquet file.

    Raises:
        DataError: a column is of a type that Parquet, or what reads it, would change.
    """
    schema = pa.schema([(name, _plain(name, own.type_of(name))) for name in names])
    numbered = schema.append(pa.field(ROW, pa.int64()))
    first = 0
    with pq.ParquetWriter(path, numbered, version="2.6", store_schema=False) as writer:
        for chunk in own.read(names):
            numbers = pa.array(range(first, first + chunk.num_rows), pa.int64())
            first += chunk.num_rows
            plain = _decoded(chunk).cast(schema)
            writer.write_table(plain.append_column(ROW, numbers).cast(numbered))


def _decoded(table: pa.Table) -> pa.Table:
    """The columns without run-end encoding, of which Arrow casts none."""
    for at, field in enumerate(table.schema):
        if pa.types.is_run_end_encoded(field.type):
            values = pc.run_end_decode(table.column(at))
            table = table.set_column(at, field.name, values)
    return table


def _plain(name: str, kind: pa.DataType) -> pa.DataType:
    """The type as which a column is written, each value as it is."""
    if pa.types.is_dictionary(kind):
        return _plain(name, kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_run_end_encoded(kind):
        return _plain(name, kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        raise DataError(
            f"spine column {name!r} is of Arrow's extension type {kind}",
            where=SPINE,
            hint="cast it to a plain type",
        )
    return kind
