"""Write constants of Iceberg types as DuckDB SQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pyiceberg.types import (
    DateType,
    IcebergType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.errors import DataError
from feature_specs.quote import literal
from lakehouse.duckdb_types import duckdb_type


def constant(value: Any, kind: IcebergType, *, where: str) -> str:
    """SQL of a value as pyiceberg holds it: dates in days, times in microseconds since the epoch.

    Raises:
        DataError: it is of a kind that is not known here.
    """
    sql = None if value is None else _spelled(value, kind)
    if value is not None and sql is None:
        raise DataError(
            f"the value {value!r} of type {kind} is not understood",
            where=where,
            hint="rewrite the files, so that the column is in them",
        )
    return f"cast({sql or 'null'} as {duckdb_type(kind, where=where)})"


def _spelled(value: Any, kind: IcebergType) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        match kind:
            case DateType():
                return f"(date '1970-01-01' + {value})"
            case TimestampType():
                return f"make_timestamp({value})"
            case TimestamptzType():
                return f"make_timestamptz({value})"
            case TimeType():
                return literal(str((datetime(1970, 1, 1) + timedelta(microseconds=value)).time()))
        return str(value)
    match value:
        case bytes() if isinstance(kind, UUIDType):
            return literal(str(UUID(bytes=value)))
        case bytes():
            return f"unhex('{value.hex()}')"
        case datetime():
            zone = "+00:00" if isinstance(kind, TimestamptzType) else ""
            moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            return literal(moment.isoformat() + zone)
        case str() if not isinstance(kind, StringType) and not kind.is_primitive:
            return None
        case str() | date() | time() | Decimal() | float() | UUID():
            return literal(str(value))
    return None
