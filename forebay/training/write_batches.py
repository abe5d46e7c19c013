"""Write record batches to a Parquet file that appears only once it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_specs.errors import DataError, first_line


def write_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, out: Path, metadata: Mapping[str, str]
) -> None:
    """Write batches, a row group each.

    Args:
        metadata: keys and texts for the file's footer.

    Raises:
        DataError: Parquet has no such type.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    try:
        with pq.ParquetWriter(partial, schema, version="2.6") as writer:
            for batch in batches:
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
            # Not as the schema's own, a copy of which is kept in another form beside it.
            writer.add_key_value_metadata(dict(metadata))
        partial.replace(out)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(
            first_line(error), where=str(out), hint="cast the column to a type that Parquet has"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
