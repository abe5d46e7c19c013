"""Column statistics for infinite times, which pyiceberg reads as Python's own and cannot."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

_METRICS = "write.metadata.metrics.column."


def without_bounds(schema: pa.Schema) -> dict[str, str]:
    """Table properties by which files have no least and greatest value of a time, but its counts."""
    return {f"{_METRICS}{name}": "counts" for field in schema for name in _times(field, field.name)}


def _times(field: pa.Field, name: str) -> Iterator[str]:
    kind = field.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        yield name
    elif pa.types.is_struct(kind):
        for inner in kind:
            yield from _times(inner, f"{name}.{inner.name}")
    elif pa.types.is_map(kind):
        yield from _times(kind.key_field, f"{name}.key")
        yield from _times(kind.item_field, f"{name}.value")
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        yield from _times(kind.value_field, f"{name}.element")
