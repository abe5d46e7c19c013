"""Which rows of a leaf may start or end between two instants, found by the bounds of its files.

What comes out may hold more rows than asked for, never fewer: whoever reads it asks each row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    GreaterThanOrEqual,
    LessThanOrEqual,
    Or,
)
from pyiceberg.expressions.visitors import inclusive_projection, manifest_evaluator
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DateType, NestedField, PrimitiveType, TimestampType, TimestamptzType

from feature_specs.deltas import Edge
from feature_specs.instants import DAY_US
from feature_specs.quote import quoted
from lakehouse.data_files.manifests import entries_with
from lakehouse.data_files.select_rows import select_rows

#: pyiceberg declares these with the arguments of their parents.
_Compare = Callable[[str, int], BooleanExpression]
_AT_LEAST, _AT_MOST = cast(_Compare, GreaterThanOrEqual), cast(_Compare, LessThanOrEqual)

#: As far as instants reach that both DuckDB and Iceberg can write.
_FAR = 2**61


@dataclass(frozen=True)
class Span:
    """Values of a time column above ``low`` and up to ``high``, in microseconds; any for None."""

    field: NestedField | None
    low: int = -_FAR
    high: int = _FAR

    def where(self) -> str:
        """SQL of the rows within it, or near."""
        if self.field is None:
            return "true"
        name = quoted(self.field.name)
        match self.field.field_type:
            case DateType():
                above, made = ">=", "cast(make_timestamp({}) as date)"
            case TimestampType():
                above, made = ">", "make_timestamp({})"
            case _:
                above, made = ">", "make_timestamptz({})"
        # An end of the axis bounds nothing, and not every engine can write it.
        low = f"{name} {above} {made.format(self.low)}" if self.low > -_FAR else None
        high = f"{name} <= {made.format(self.high)}" if self.high < _FAR else None
        ends = [end for end in (low, high) if end is not None]
        return f"({' and '.join(ends)})" if ends else "true"

    def row_filter(self) -> BooleanExpression:
        """The same for pyiceberg."""
        if self.field is None:
            return AlwaysTrue()
        low, high = self.low, self.high
        if isinstance(self.field.field_type, DateType):
            low, high = low // DAY_US, high // DAY_US
        name = self.field.name
        return And(_AT_LEAST(name, low), _AT_MOST(name, high))

    def may_hold(self, file: DataFile) -> bool:
        """Whether a file may have rows within it, by its bounds."""
        bounds = self._bounds(file)
        if bounds is None:
            return True
        # A bound is cut off at a microsecond where a finer time is read as the next one.
        low, high = self._ends
        return bounds[0] <= high and bounds[1] >= low

    def holds_all(self, file: DataFile) -> bool:
        """Whether all rows of a file that have a value lie within it, by its bounds."""
        bounds = self._bounds(file)
        low, high = self._ends
        return bounds is not None and low < bounds[0] and bounds[1] <= high

    @property
    def _ends(self) -> tuple[int, int]:
        dates = self.field is not None and isinstance(self.field.field_type, DateType)
        return (self.low // DAY_US, self.high // DAY_US) if dates else (self.low, self.high)

    def _bounds(self, file: DataFile) -> tuple[int, int] | None:
        """A file's least and greatest value, in days or microseconds; None where it does not say."""
        if self.field is None:
            return None
        key, kind = self.field.field_id, cast(PrimitiveType, self.field.field_type)
        lower, upper = (file.lower_bounds or {}).get(key), (file.upper_bounds or {}).get(key)
        if lower is None or upper is None:
            return None
        if len(lower) != len(upper) or len(lower) != (4 if isinstance(kind, DateType) else 8):
            return None  # the file was written before the column's type was widened
        return int(from_bytes(kind, lower)), int(from_bytes(kind, upper))


def spans_between(schema: Schema, edges: Sequence[Edge], before: int, after: int) -> list[Span]:
    """Where rows lie that start or end in (before, after], spans of one column apart."""
    spans: list[Span] = []
    for edge in edges:
        field = time_field(schema, edge.column)
        low = before - edge.offset - edge.slack
        spans.append(_clamped(Span(field, low, after - edge.offset + edge.slack)))
    if any(s.field is None for s in spans):
        return [Span(None)]
    spans.sort(key=lambda s: (s.field.field_id if s.field else 0, s.low))
    apart: list[Span] = []
    for span in spans:
        last = apart[-1] if apart else None
        if last is not None and last.field == span.field and span.low <= last.high:
            apart[-1] = replace(last, high=max(last.high, span.high))
        else:
            apart.append(span)
    return apart


def living_where(schema: Schema, starts: Sequence[Edge], ends: Sequence[Edge], at: int) -> str:
    """SQL of the rows that have started and not ended at an instant, or nearly so."""
    spans = [Span(time_field(schema, e.column), high=at - e.offset + e.slack) for e in starts] + [
        Span(time_field(schema, e.column), low=at - e.offset - e.slack) for e in ends
    ]
    return " and ".join(dict.fromkeys(_clamped(s).where() for s in spans)) or "true"


def rows_in(table: Table, snapshot: int | None, spans: Sequence[Span]) -> str:
    """A SELECT of a snapshot's rows in any of the spans, each once, reading few of its files."""
    if snapshot is None or not spans:
        return select_rows(table, ())
    files = entries_with(table, snapshot, ManifestContent.DATA, _manifest_test(table, spans))
    deletes = entries_with(table, snapshot, ManifestContent.DELETES)
    parts = []
    for number, span in enumerate(spans):
        held = [f for f in files if span.may_hold(f.data_file)]
        earlier = " or ".join(s.where() for s in spans[:number] if s.field != span.field)
        # Null where a time is null, and such a row was in none of the earlier spans.
        also = f" and ({earlier}) is not true" if earlier else ""
        if held:
            rows = select_rows(table, held, deletes)
            parts.append(f"select * from ({rows}) as rows where {span.where()}{also}")
    return " union all ".join(parts) or select_rows(table, ())


def _manifest_test(table: Table, spans: Sequence[Span]) -> Callable[[ManifestFile], bool]:
    """Whether a manifest may have files with rows in the spans, by its partitions' bounds."""
    schema, specs = table.schema(), table.specs()
    wanted = [s.row_filter() for s in spans]
    row_filter = wanted[0] if len(wanted) == 1 else Or(*wanted)
    tests: dict[int, Callable[[ManifestFile], bool]] = {}

    def may_matter(manifest: ManifestFile) -> bool:
        spec = specs[manifest.partition_spec_id]
        if spec.is_unpartitioned():
            return True
        if spec.spec_id not in tests:
            partitions = inclusive_projection(schema, spec)(row_filter)
            tests[spec.spec_id] = manifest_evaluator(spec, schema, partitions)
        return tests[spec.spec_id](manifest)

    return may_matter


def time_field(schema: Schema, column: str) -> NestedField | None:
    """A column of times; None of another type. Raises ValueError where there is no such column."""
    field = schema.find_field(column, case_sensitive=False)
    known = isinstance(field.field_type, (TimestamptzType, TimestampType, DateType))
    return field if known else None


def _clamped(span: Span) -> Span:
    return replace(span, low=max(span.low, -_FAR), high=min(span.high, _FAR))
