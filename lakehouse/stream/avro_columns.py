"""What turns decoded Avro values into a column's, exactly, or says why one does not fit.

Values come as they are encoded: the numbers and bytes under a logical type, an enum's index, and a map's
entries as records of ``key`` and ``value``. What they mean is decided here, since Avro's libraries round decimals and know no times past year 9999.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

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
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.instants import DAY_US

#: A value that is not null, as pyarrow takes it for the column.
Read: TypeAlias = Callable[[Any], Any]

#: The first and last day of the years 1 to 9999, from the epoch.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
#: Units of a logical type of time, as microseconds and as parts of one.
_UNITS = {"millis": (1000, 1), "micros": (1, 1), "nanos": (1, 1000)}


class MisfitError(ValueError):
    """A value, or all of a type, that a column does not hold unchanged."""


def column_reader(avro: Any, kind: IcebergType, name: str) -> Read:
    """What reads values of an Avro type for a column.

    Args:
        avro: the type, with names expanded.
        name: of the column, for errors.

    Raises:
        MisfitError: no value of the type fits the column.
    """
    branches = avro if isinstance(avro, list) else [avro]
    others = [b for b in branches if _name(b) != "null"]
    if len(others) > 1:
        raise MisfitError(f"{name!r} is a union of several types, which no column holds")
    return _reader(others[0], kind, name) if others else _never(name)


def _reader(avro: Any, kind: IcebergType, name: str) -> Read:
    said = avro if isinstance(avro, dict) else {}
    base, logical = _name(avro), said.get("logicalType", "")
    if base == "array" and isinstance(kind, ListType):
        return _of_list(said, kind, name)
    if base == "map" and isinstance(kind, MapType) and isinstance(kind.key_type, StringType):
        return _of_map(said, kind, name)
    if base == "record" and isinstance(kind, StructType):
        return _of_struct(said, kind, name)
    read = _plain(base, logical, said, kind, name)
    if read is None:
        shown = f"{base} ({logical})" if logical else base
        raise MisfitError(f"{name!r} is an Avro {shown}, and the table's column is {kind}")
    return read


def _plain(base: str, logical: str, said: Any, kind: IcebergType, name: str) -> Read | None:
    if logical == "decimal" and base in ("bytes", "fixed"):
        if isinstance(kind, DecimalType):
            scale = int(said.get("scale", 0))
            return lambda v: _fit(int.from_bytes(v, "big", signed=True), scale, kind, name)
        return None
    if logical == "uuid" and base in ("string", "fixed") and isinstance(kind, UUIDType):
        return lambda v: _uuid(v, name)
    if base in ("int", "long"):
        return _of_number(logical, kind, name)
    match base, kind:
        case "boolean", BooleanType():
            return bool
        case (("float" | "double"), DoubleType()):
            return float
        case "float", FloatType():
            return float
        case "double", FloatType():
            return lambda v: _single(v, name)
        case "string", StringType():
            return str
        case "enum", StringType():
            return lambda v: _symbol(v, said["symbols"], name)
        case (("bytes" | "fixed"), BinaryType()):
            return bytes
        case (("bytes" | "fixed"), FixedType()):
            return lambda v: _fixed(v, len(kind), name)
    return None


def _of_number(logical: str, kind: IcebergType, name: str) -> Read | None:
    family, _, unit = logical.rpartition("-")
    match logical, kind:
        case "date", DateType():
            return lambda v: _in_years(v, 1, name)
        case "date", _:
            return None
    if unit in _UNITS and family in ("timestamp", "local-timestamp", "time"):
        held = {"timestamp": TimestamptzType, "local-timestamp": TimestampType, "time": TimeType}
        if not isinstance(kind, held[family]):
            return None
        if family == "time":
            return lambda v: _time(_micros(v, unit, name), name)
        return lambda v: _in_years(_micros(v, unit, name), DAY_US, name)
    match kind:
        case LongType():
            return lambda v: _whole(v, 63, name)
        case IntegerType():
            return lambda v: _whole(v, 31, name)
        case DoubleType():
            return lambda v: _double(v, name)
        case DecimalType():
            return lambda v: _fit(v, 0, kind, name)
    return None


def _of_list(said: Mapping[str, Any], kind: ListType, name: str) -> Read:
    item = _item(said["items"], kind.element_type, kind.element_required, f"{name}[]")
    return lambda values: [item(v) for v in values]


def _of_map(said: Mapping[str, Any], kind: MapType, name: str) -> Read:
    item = _item(said["values"], kind.value_type, kind.value_required, f"{name}[]")

    def read(entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
        keys = [entry["key"] for entry in entries]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise MisfitError(f"{name!r} has the key {twice!r} twice")
        return [(entry["key"], item(entry["value"])) for entry in entries]

    return read


def _of_struct(said: Mapping[str, Any], kind: StructType, name: str) -> Read:
    items = field_readers(said["fields"], kind.fields, f"{name}.")
    return lambda values: {n: read(values.get(n)) for n, read in items.items()}


def field_readers(
    fields: Sequence[Mapping[str, Any]], columns: Sequence[NestedField], within: str = ""
) -> dict[str, Read]:
    """Of each column what reads the values of the record's field of its name, nulls included.

    A column without a field is null.

    Raises:
        MisfitError: a field without a column, or of a type that its column does not hold.
    """
    types = {str(field["name"]): field["type"] for field in fields}
    known = [column.name for column in columns]
    for name in types:
        if name not in known:
            raise MisfitError(f"the table has no column {within + name!r}")
    return {
        c.name: _item(types.get(c.name, "null"), c.field_type, c.required, within + c.name)
        for c in columns
    }


def _item(avro: Any, kind: IcebergType, required: bool, name: str) -> Read:
    read = column_reader(avro, kind, name)

    def item(value: Any) -> Any:
        if value is not None:
            return read(value)
        if required:
            raise MisfitError(f"column {name!r} may not be null")
        return None

    return item


def _name(avro: Any) -> str:
    said = avro.get("type") if isinstance(avro, dict) else avro
    return said if isinstance(said, str) else _name(said)


def _never(name: str) -> Read:
    def read(value: Any) -> Any:
        raise MisfitError(f"{name!r} is always null in its schema")

    return read


def _misfit(value: object, name: str) -> MisfitError:
    return MisfitError(f"column {name!r} does not hold {str(value)[:60]!r} unchanged")


def _whole(value: int, bits: int, name: str) -> int:
    if not -(2**bits) <= value < 2**bits:
        raise _misfit(value, name)
    return value


def _double(value: int, name: str) -> float:
    if int(float(value)) != value:
        raise _misfit(value, name)
    return float(value)


def _single(value: float, name: str) -> float:
    try:
        kept = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        raise _misfit(value, name) from None
    if kept != value and value == value:
        raise _misfit(value, name)
    return value


def _fit(number: int, scale: int, kind: DecimalType, name: str) -> Decimal:
    """A decimal of some digits after the point with those of the column."""
    more = kind.scale - scale
    whole, rest = divmod(abs(number) * 10 ** max(more, 0), 10 ** max(-more, 0))
    if rest or whole >= 10**kind.precision:
        raise _misfit(f"{number}e{-scale}" if scale else number, name)
    digits = tuple(map(int, str(whole)))
    return Decimal((int(number < 0), digits, -kind.scale))


def _micros(value: int, unit: str, name: str) -> int:
    times, parts = _UNITS[unit]
    whole, rest = divmod(value * times, parts)
    if rest:
        raise _misfit(f"{value} {unit}", name)
    return whole


def _in_years(value: int, day: int, name: str) -> int:
    if not _FIRST_DAY * day <= value < (_LAST_DAY + 1) * day:
        raise MisfitError(f"column {name!r} holds times of the years 1 to 9999, not {value}")
    return value


def _time(value: int, name: str) -> int:
    if not 0 <= value < DAY_US:
        raise _misfit(value, name)
    return value


def _uuid(value: str | bytes, name: str) -> bytes:
    try:
        return UUID(value).bytes if isinstance(value, str) else UUID(bytes=value).bytes
    except ValueError:
        raise _misfit(value, name) from None


def _symbol(value: int, symbols: Sequence[str], name: str) -> str:
    if not 0 <= value < len(symbols):
        raise MisfitError(f"{name!r} has {len(symbols)} symbols, and none of number {value}")
    return symbols[value]


def _fixed(value: bytes, length: int, name: str) -> bytes:
    if len(value) != length:
        raise _misfit(value, name)
    return value
