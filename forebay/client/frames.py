"""Vectors as frames: Arrow's, and from it those of pandas and polars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from feature_specs.errors import DataError, ForebayError
from feature_specs.sql_types import SqlType, parse_type
from serving.api.vectors.as_arrow import arrow_type

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

#: As the feature tables have them. Arrow has no integers of 128 bits, and polars no wider decimal.
_HUGE = pa.decimal128(38)


def arrow_table(types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> pa.Table:
    """A table with a typed column a feature. Raises DataError where a value does not fit."""
    schema, adapted = _schema(tuple(types.items()))
    arrays = []
    for field, declared, column in zip(schema, adapted, columns, strict=True):
        values = column if declared is None else [_plain(declared, value) for value in column]
        try:
            arrays.append(pa.array(values, field.type))
        except pa.ArrowInvalid:
            raise DataError(
                f"a value of feature {field.name!r} does not fit Arrow's {field.type}",
                where=field.name,
                hint="take it from to_dicts(), or cast the feature in its SQL",
            ) from None
    return pa.Table.from_arrays(arrays, schema=schema)


@lru_cache(maxsize=256)
def _schema(types: tuple[tuple[str, str], ...]) -> tuple[pa.Schema, list[SqlType | None]]:
    """The schema of features, and the type of each whose values pa.array does not take as they are."""
    parsed = [(name, parse_type(duckdb)) for name, duckdb in types]
    schema = pa.schema([pa.field(name, arrow_type(kind, _HUGE)) for name, kind in parsed])
    return schema, [kind if _adapted(kind) else None for _, kind in parsed]


def pandas_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a frame of pandas' Arrow types."""
    try:
        import pandas as pd
    except ImportError:
        raise _missing("pandas") from None
    # The table's own way to it takes twice as long.
    arrays = map(pd.arrays.ArrowExtensionArray, table.columns)
    return pd.DataFrame(dict(zip(table.column_names, arrays, strict=True)), copy=False)


def polars_frame(table: pa.Table) -> pl.DataFrame:
    """The table as a polars frame."""
    try:
        import polars as pl
    except ImportError:
        raise _missing("polars") from None
    made = pl.from_arrow(table)
    if not isinstance(made, pl.DataFrame):
        raise TypeError(f"polars made {type(made).__name__} of a table")
    return made


def _adapted(declared: SqlType) -> bool:
    return declared.name in ("UUID", "MAP") or any(map(_adapted, declared.items))


def _plain(declared: SqlType, value: Any) -> Any:
    """A value as pa.array takes it: UUIDs as text, maps as pairs."""
    if value is None:
        return None
    if declared.name == "UUID":
        return str(value)
    if declared.name == "LIST":
        return [_plain(declared.items[0], item) for item in value]
    if declared.name == "STRUCT":
        kinds = dict(zip(declared.fields, declared.items, strict=True))
        return {name: _plain(kinds[name], item) for name, item in value.items()}
    if declared.name == "MAP":
        key, item = declared.items
        pairs = value.items() if isinstance(value, dict) else value
        return [(_plain(key, k), _plain(item, v)) for k, v in pairs]
    return value


def _missing(package: str) -> ForebayError:
    return ForebayError(
        f"{package} is not installed", where=f"to_{package}()", hint=f"pip install {package}"
    )
