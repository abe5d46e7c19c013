"""Map Iceberg types to DuckDB types."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.errors import DataError
from feature_specs.names import fold_name
from feature_specs.quote import quoted

_PRIMITIVES: Mapping[type[IcebergType], str] = {
    BooleanType: "BOOLEAN",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimeType: "TIME",
    TimestampType: "TIMESTAMP",
    TimestamptzType: "TIMESTAMP WITH TIME ZONE",
    StringType: "VARCHAR",
    UUIDType: "UUID",
    BinaryType: "BLOB",
    FixedType: "BLOB",
}


def duckdb_type(kind: IcebergType, *, where: str = "schema") -> str:
    """The DuckDB type of an Iceberg type.

    Args:
        where: the column, for the error.

    Raises:
        DataError: DuckDB has none.
    """
    if type(kind) in _PRIMITIVES:
        return _PRIMITIVES[type(kind)]
    match kind:
        case DecimalType():
            return f"DECIMAL({kind.precision},{kind.scale})"
        case ListType():
            return f"{duckdb_type(kind.element_type, where=where)}[]"
        case MapType():
            key, value = (duckdb_type(k, where=where) for k in (kind.key_type, kind.value_type))
            return f"MAP({key}, {value})"
        case StructType():
            fields = ", ".join(
                f"{quoted(f.name)} {duckdb_type(f.field_type, where=f'{where}.{f.name}')}"
                for f in kind.fields
            )
            return f"STRUCT({fields})"
    raise DataError(
        f"Iceberg type {kind} cannot be read", where=where, hint="cast it before loading"
    )


def column_types(schema: Schema) -> dict[str, str]:
    """Column name to DuckDB type.

    Raises:
        DataError: DuckDB has no such type, or two columns differ in case alone.
    """
    seen: dict[str, str] = {}
    for field in schema.fields:
        other = seen.setdefault(fold_name(field.name), field.name)
        if other != field.name:
            raise DataError(
                f"columns {other!r} and {field.name!r} differ in case alone, which DuckDB's SQL "
                "does not tell apart",
                where="schema",
                hint="rename one of them in the table",
            )
    return {f.name: duckdb_type(f.field_type, where=f"column {f.name}") for f in schema.fields}
