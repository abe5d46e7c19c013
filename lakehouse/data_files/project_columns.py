"""Map a table's columns to those of one data file, as the Iceberg spec says ("Column Projection").

A column is found by its field id. In files without ids it is the value of an identity partition,
or found by the table's name mapping. What is not in the file reads as the column's initial default,
or as null. Nested fields are found likewise, wherever they stand. A file's type may be narrower
than the column's, never another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.table.name_mapping import MappedField
from pyiceberg.types import (
    BinaryType,
    DecimalType,
    FixedType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    StringType,
    StructType,
    UUIDType,
)

from feature_specs.errors import DataError
from feature_specs.quote import quoted
from lakehouse.constants import constant
from lakehouse.data_files.footers import INT96, FileColumn, Shape
from lakehouse.data_files.int96 import int96_microseconds
from lakehouse.data_files.nanoseconds import whole_microseconds
from lakehouse.data_files.nested_sql import field_sql, item_variable, list_sql, map_sql, struct_sql
from lakehouse.data_files.old_calendar import unless_early
from lakehouse.duckdb_types import duckdb_type

#: What pyiceberg and Spark write into a table that is migrated.
NAME_MAPPING = "schema.name-mapping.default"

_SIGNED = {"TINYINT": 1, "SMALLINT": 2, "INTEGER": 4, "BIGINT": 8}
_UNSIGNED = {"UTINYINT": 1, "USMALLINT": 2, "UINTEGER": 4}


@dataclass(frozen=True)
class FileSource:
    """One data file, or several with the same columns.

    Attributes:
        path: of one of them, for errors.
        mapping: the table's name mapping; None where it has none.
        partition: SQL of the values of identity partitions, by the field id of their column.
        file: SQL of the file of a row, where there are times by the old calendar.
    """

    path: str
    shape: Shape
    mapping: Sequence[MappedField] | None
    partition: Mapping[int, str]
    file: str


def project_columns(
    fields: Sequence[NestedField], source: FileSource, columns: Sequence[str]
) -> str:
    """The select list that gives a table's columns.

    Args:
        columns: SQL of the file's columns, in their order.

    Raises:
        DataError: the file lacks a required column, has another type, or names no columns that the
            table knows.
    """
    found = _find(fields, source.shape, source.mapping, source, "")
    has_ids = any(column.field_id is not None for column in source.shape)
    items = []
    for field in fields:
        place = found.get(field.field_id)
        if field.field_id in source.partition and (
            place is None or source.shape[place].field_id is None
        ):
            sql = source.partition[field.field_id]
        elif place is None:
            sql = _missing(field, source, field.name, has_ids)
        else:
            inner = _inner(source.mapping, field.field_id)
            sql = _read(
                columns[place], field.field_type, source.shape[place], inner, source, field.name
            )
        items.append(f"{sql} as {quoted(field.name)}")
    return ", ".join(items)


def _inner(
    mapping: Sequence[MappedField] | None, field_id: int | None
) -> Sequence[MappedField] | None:
    if mapping is None:
        return None
    return next((m.fields for m in mapping if m.field_id == field_id), ())


def _find(
    fields: Sequence[NestedField],
    columns: Sequence[FileColumn],
    mapping: Sequence[MappedField] | None,
    source: FileSource,
    within: str,
) -> dict[int, int]:
    """Field id to the place of its column."""
    named = {name: m.field_id for m in mapping or () for name in m.names}
    wanted = {f.field_id for f in fields}
    found: dict[int, int] = {}
    for place, column in enumerate(columns):
        here = column.field_id if column.field_id is not None else named.get(column.name)
        if here is None or here not in wanted:
            continue
        if here in found:
            raise DataError(
                f"two columns of a data file, {columns[found[here]].name!r} and {column.name!r}, "
                f"stand for one, field id {here}",
                where=f"{source.path}{within and f', {within}'}",
                hint=f"rewrite the file, or correct the table's {NAME_MAPPING}",
            )
        found[here] = place
    _refuse_nameless(fields, columns, found, mapping, source, within)
    return found


def _refuse_nameless(
    fields: Sequence[NestedField],
    columns: Sequence[FileColumn],
    found: Mapping[int, int],
    mapping: Sequence[MappedField] | None,
    source: FileSource,
    within: str,
) -> None:
    """Refuse columns that nothing maps, since they may be columns that the table lacks."""
    nameless = {c.name for c in columns if c.field_id is None}
    missed = [f for f in fields if f.field_id not in found and f.field_id not in source.partition]
    if not nameless or not missed:
        return
    what = f"fields of {within!r}" if within else "columns"
    # Whatever may be meant, by whichever rule of case: a column that is not found reads as null.
    lost = [f.name for f in missed if f.name.lower() in {n.lower() for n in nameless}]
    if not found and len(nameless) == len(columns):
        text = f"the {what} of a data file have no field ids"
    elif lost:
        text = f"{lost[0]!r} among the {what} of a data file has no field id"
    else:
        return
    if mapping is None:
        raise DataError(
            f"{text}, and the table has no name mapping by which to find them",
            where=source.path,
            hint=f"set the table property {NAME_MAPPING} (in pyiceberg: "
            "table.schema().name_mapping.model_dump_json()), or rewrite the file",
        )
    raise DataError(
        f"{text}, and the table's name mapping does not name them",
        where=source.path,
        hint=f"add their names to the table property {NAME_MAPPING}, or rewrite the file",
    )


def _missing(field: NestedField, source: FileSource, within: str, has_ids: bool = True) -> str:
    if field.initial_default is not None:
        return constant(field.initial_default, field.field_type, where=f"column {within}")
    if field.required:
        raise DataError(
            f"a data file lacks the required column {within!r}"
            + ("" if has_ids else f", and {NAME_MAPPING} names no column for it"),
            where=source.path,
            hint="make the column optional, or rewrite the file",
        )
    return f"cast(null as {duckdb_type(field.field_type, where=f'column {within}')})"


def _read(
    sql: str,
    kind: IcebergType,
    column: FileColumn,
    mapping: Sequence[MappedField] | None,
    source: FileSource,
    within: str,
) -> str:
    """SQL of a file's column as the table's type."""
    match kind:
        case StructType() if column.kind == "struct":
            out = _read_struct(sql, kind, column, mapping, source, within)
        case ListType() if column.kind == "list":
            (element,) = column.children
            _same_id(kind.element_id, element, source, within)
            inner = _inner(mapping, kind.element_id)
            item = _variable(within)
            made = _read(item, kind.element_type, element, inner, source, f"{within}.element")
            out = list_sql(sql, item, made)
        case MapType() if column.kind == "map":
            out = _read_map(sql, kind, column, mapping, source, within)
        case _ if kind.is_primitive and column.kind == "primitive":
            return _primitive(sql, kind, column, source, within)
        case _:
            raise _mismatch(kind, column, source, within)
    return out


def _read_struct(
    sql: str,
    kind: StructType,
    column: FileColumn,
    mapping: Sequence[MappedField] | None,
    source: FileSource,
    within: str,
) -> str:
    found = _find(kind.fields, column.children, mapping, source, within)
    parts = []
    for field in kind.fields:
        name = f"{within}.{field.name}"
        place = found.get(field.field_id)
        if place is None:
            parts.append((field.name, "", _missing(field, source, name)))
            continue
        plain = field_sql(sql, place)
        read = _read(
            plain,
            field.field_type,
            column.children[place],
            _inner(mapping, field.field_id),
            source,
            name,
        )
        parts.append((field.name, plain, read))
    names = [c.name for c in column.children]
    if [n for n, _, _ in parts] == names and all(plain == read for _, plain, read in parts):
        return sql
    return struct_sql(sql, [(name, read) for name, _, read in parts])


def _read_map(
    sql: str,
    kind: MapType,
    column: FileColumn,
    mapping: Sequence[MappedField] | None,
    source: FileSource,
    within: str,
) -> str:
    key, value = column.children
    _same_id(kind.key_id, key, source, within)
    _same_id(kind.value_id, value, source, within)

    item = _variable(within)
    keys, values = _inner(mapping, kind.key_id), _inner(mapping, kind.value_id)
    return map_sql(
        sql,
        item,
        _read(f"{item}.key", kind.key_type, key, keys, source, f"{within}.key"),
        _read(f"{item}.value", kind.value_type, value, values, source, f"{within}.value"),
    )


def _variable(within: str) -> str:
    """A lambda's variable, different at each depth."""
    return item_variable(within.count("."))


def _same_id(wanted: int, column: FileColumn, source: FileSource, within: str) -> None:
    """A list has one element, and a map one key: their ids are often left out."""
    if column.field_id is not None and column.field_id != wanted:
        raise DataError(
            f"{within!r} of a data file holds the field of id {column.field_id}, the table's "
            f"that of id {wanted}",
            where=source.path,
            hint="rewrite the file",
        )


def _primitive(
    sql: str, kind: IcebergType, column: FileColumn, source: FileSource, within: str
) -> str:
    wanted = duckdb_type(kind, where=f"column {within}")
    read: str | None
    if wanted == column.type and not isinstance(kind, (FixedType, UUIDType)):
        read = sql
    else:
        read = _converted(sql, kind, wanted, column)
        if read is None:
            raise _mismatch(kind, column, source, within)
        read = sql if column.type == wanted else f"cast({read} as {wanted})"
    return unless_early(read, wanted, within, source.file) if column.old_calendar else read


def _converted(sql: str, kind: IcebergType, wanted: str, column: FileColumn) -> str | None:
    """SQL that converts a value losslessly from another type; None if impossible."""
    held = column.type
    match kind:
        case FixedType():
            return sql if held == "BLOB" and column.length == len(kind) else None
        case UUIDType():
            if held == "UUID":
                return sql
            return f"hex({sql})" if held == "BLOB" and column.length == 16 else None
        case StringType() if held == "JSON":
            return sql
        case StringType() if held == "BLOB":
            return f"decode({sql})"
        case BinaryType() if held == "VARCHAR":
            return f"encode({sql})"
        case DecimalType() if held.startswith("DECIMAL("):
            precision, scale = map(int, held[8:-1].split(","))
            return sql if scale == kind.scale and precision <= kind.precision else None
    if wanted in _SIGNED:
        size = _SIGNED[wanted]
        fits = _SIGNED.get(held, 9) <= size or _UNSIGNED.get(held, 9) < size
        return sql if fits else None
    return _time(sql, wanted, held)


def _time(sql: str, wanted: str, held: str) -> str | None:
    match held, wanted:
        case ("FLOAT", "DOUBLE") | ("TIME WITH TIME ZONE", "TIME"):
            return sql
        case ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP") | ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
            return f"{sql} at time zone 'UTC'"
        # Rounded up, as all times finer than a microsecond: no row is visible before its time.
        case ("TIMESTAMP_NS" | "TIMESTAMPTZ_NS", "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE"):
            microseconds = whole_microseconds(sql, "up")
        case (_, "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE") if held == INT96:
            microseconds = int96_microseconds(sql)
        case _:
            return None
    made = "make_timestamp" if wanted == "TIMESTAMP" else "make_timestamptz"
    return f"{made}({microseconds})"


def _mismatch(kind: IcebergType, column: FileColumn, source: FileSource, within: str) -> DataError:
    return DataError(
        f"column {within!r} is {kind} in the table, and {column.type} in a data file",
        where=source.path,
        hint="rewrite the file with the table's type",
    )
