"""Write record batches to a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_specs.errors import DataError, first_line


def write_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, out: Path, metadata: Mapping[str, str]
) -> None:
    """Write batches, a row group each, to a file that is of no use where that fails: see `sealing`.

    Args:
        metadata: keys and texts for the file's footer.

    Raises:
        DataError: Parquet has no such type.
    """
    try:
        with pq.ParquetWriter(out, schema, version="2.6") as writer:
            for batch in batches:
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
            # Not as the schema's own, a copy of which is kept in another form beside it.
            writer.add_key_value_metadata(dict(metadata))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(
            first_line(error), where=str(out), hint="cast the column to a type that Parquet has"
        ) from None
