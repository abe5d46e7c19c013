"""A table's partitions and sort order, as a source's YAML declares them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.sorting import SortDirection
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from feature_specs.errors import SpecError, UnknownNameError, did_you_mean
from feature_specs.quote import quoted

_TIMES = (TimestampType, TimestamptzType)
_BY_NAME: dict[str, Transform] = {  # type: ignore[type-arg]
    "year": YearTransform(),
    "month": MonthTransform(),
    "day": DayTransform(),
    "hour": HourTransform(),
}
_FORMS = "a column, year(c), month(c), day(c), hour(c), bucket(16, c) or truncate(4, c)"


@dataclass(frozen=True)
class Partition:
    """One field of a partition: a column, and what is made of its value.

    Attributes:
        text: as it was declared, such as ``day(ts)``.
        number: of ``bucket`` and ``truncate``; else 0.
    """

    text: str
    column: str
    kind: str
    number: int = 0

    @property
    def transform(self) -> Transform:  # type: ignore[type-arg]
        """Iceberg's own."""
        match self.kind:
            case "bucket":
                return BucketTransform(self.number)
            case "truncate":
                return TruncateTransform(self.number)
            case "identity":
                return IdentityTransform()
        return _BY_NAME[self.kind]


@dataclass(frozen=True)
class Layout:
    """What ``meta.partition_by`` and ``meta.sort_by`` say.

    Attributes:
        sort_by: columns, each with whether it falls.
        where: the file that declares it.
    """

    partition_by: tuple[Partition, ...] = ()
    sort_by: tuple[tuple[str, bool], ...] = ()
    where: str = ""

    def __bool__(self) -> bool:
        return bool(self.partition_by or self.sort_by)


def read_layout(partition_by: object, sort_by: object, where: str) -> Layout:
    """The layout that a source's meta declares; each part may be missing.

    Raises:
        SpecError: it is not a list of such.
    """
    partitions = tuple(_partition(text, where) for text in _texts(partition_by, where, _FORMS))
    wanted = "columns, each perhaps with `desc`"
    order = []
    for text in _texts(sort_by, where, wanted):
        found = re.fullmatch(r"(\w+)(?:\s+(asc|desc))?", text.strip(), re.IGNORECASE)
        if found is None:
            raise _wrong("sort_by", text, wanted, where)
        order.append((found[1], (found[2] or "").lower() == "desc"))
    return Layout(partitions, tuple(order), where)


def apply_layout(transaction: Transaction, layout: Layout) -> None:
    """Give a table the partitions and the order that are declared, where it has others.

    Rows that are there stay as they are: Iceberg keeps what each file was written by.

    Raises:
        UnknownNameError: the table has no such column.
        SpecError: a column's type cannot be partitioned so.
    """
    schema = transaction.table_metadata.schema()
    names = [f.name for f in schema.fields]
    for name in (*(p.column for p in layout.partition_by), *(c for c, _ in layout.sort_by)):
        if name not in names:
            raise UnknownNameError(
                f"partition_by and sort_by name {name!r}, which is not a column of the table",
                where=layout.where,
                hint=did_you_mean(name, names),
            )
    for part in layout.partition_by:
        _check_type(part, schema.find_field(part.column).field_type, layout.where)
    if layout.partition_by:
        _partition_table(transaction, schema, layout.partition_by)
    if layout.sort_by and sort_terms(transaction.table_metadata) != _terms(layout.sort_by):
        with transaction.update_sort_order() as update:
            for name, falls in layout.sort_by:
                (update.desc if falls else update.asc)(name, IdentityTransform())


def sort_terms(metadata: TableMetadata) -> list[str]:
    """ORDER BY terms of a table's sort order, as far as it is of plain columns."""
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    terms: list[tuple[str, bool]] = []
    for field in () if order is None else order.fields:
        name = metadata.schema().find_column_name(field.source_id)
        if name is None or "." in name or not isinstance(field.transform, IdentityTransform):
            break
        terms.append((name, field.direction == SortDirection.DESC))
    return _terms(terms)


def _terms(columns: Sequence[tuple[str, bool]]) -> list[str]:
    return [f"{quoted(name)} {'desc' if falls else 'asc'} nulls last" for name, falls in columns]


def _partition_table(
    transaction: Transaction, schema: Schema, partitions: Sequence[Partition]
) -> None:
    spec = transaction.table_metadata.spec()
    wanted = [(schema.find_field(p.column).field_id, str(p.transform)) for p in partitions]
    if [(f.source_id, str(f.transform)) for f in spec.fields] == wanted:
        return
    with transaction.update_spec() as update:
        for field in spec.fields:
            update.remove_field(field.name)
        for part in partitions:
            update.add_field(part.column, part.transform)


def partitions_of(spec: PartitionSpec, schema: Schema) -> tuple[Partition, ...] | None:
    """What a table is partitioned by; None where that is nothing that a source can declare."""
    found = []
    for field in spec.fields:
        column = schema.find_column_name(field.source_id)
        text = str(field.transform)
        number = re.search(r"\[(\d+)\]", text)
        kind = text.partition("[")[0]
        if column is None or "." in column or kind not in {*_BY_NAME, *_NUMBERED, "identity"}:
            return None
        before = "" if number is None else f"{number[1]}, "
        spelled = column if kind == "identity" else f"{kind}({before}{column})"
        part = Partition(spelled, column, kind, 0 if number is None else int(number[1]))
        if not _may_partition(part, schema.find_field(field.source_id).field_type):
            return None
        found.append(part)
    return tuple(found)


_NUMBERED = ("bucket", "truncate")


def _partition(text: str, where: str) -> Partition:
    bare = text.strip()
    if re.fullmatch(r"\w+", bare):
        return Partition(bare, bare, "identity")
    found = re.fullmatch(r"(\w+)\s*\(\s*(?:(\d+)\s*,\s*)?(\w+)\s*\)", bare)
    if found is not None:
        kind, number = found[1].lower(), int(found[2] or 0)
        if (kind in _BY_NAME and found[2] is None) or (kind in _NUMBERED and number > 0):
            return Partition(bare, found[3], kind, number)
    raise _wrong("partition_by", text, _FORMS, where)


def _check_type(part: Partition, kind: IcebergType, where: str) -> None:
    if _may_partition(part, kind):
        return
    hint = "of a column of times take its day: " + f"day({part.column})"
    raise SpecError(
        f"partition_by {part.text!r} cannot be made of {part.column!r}, which is {kind}",
        where=where,
        hint=hint if isinstance(kind, _TIMES) else f"write {_FORMS}, of a type that has one",
    )


def _may_partition(part: Partition, kind: IcebergType) -> bool:
    match part.kind:
        case "year" | "month" | "day":
            return isinstance(kind, (*_TIMES, DateType))
        case "hour":
            return isinstance(kind, _TIMES)
        case "bucket":
            return kind.is_primitive and not isinstance(
                kind,
                (BooleanType, FloatType, DoubleType, TimeType, UUIDType, BinaryType, FixedType),
            )
        case "truncate":
            return isinstance(kind, (IntegerType, LongType, StringType))
    return isinstance(kind, (BooleanType, IntegerType, LongType, StringType, DateType))


def _texts(value: object, where: str, wanted: str) -> list[str]:
    given = [] if value is None else value if isinstance(value, list) else [value]
    for text in given:
        if not isinstance(text, str):
            raise _wrong("meta", str(text), wanted, where)
    return [str(text) for text in given]


def _wrong(name: str, text: str, wanted: str, where: str) -> SpecError:
    return SpecError(
        f"{name} has {text!r}",
        where=where,
        hint=f"write {wanted}, for example `meta: {{partition_by: [day(ts)], sort_by: [key, ts]}}`",
    )
