"""Running totals of many terms, read at many instants, in one sorted pass over an axis.

One running total over all rows, keys too, is read at the markers. Two markers of one spine row stand
in the same key, so their difference is free of the keys before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from feature_specs.compile.draft import Subquery
from feature_specs.compile.lowerings.lowered import AXIS, ROW, ViewScope
from feature_specs.compile.lowerings.sorted_axis import (
    MARKERS,
    SO_FAR,
    followed,
    numbered_keys,
)
from feature_specs.compile.sql.time_axis import ALWAYS

#: The read from which every total of the key is counted.
BASE = None

#: The term that is 1 for every row: a count needs no sum.
ROWS = "1"

#: The sum of all absolute values stays below 2 to this; what is above it counts the values.
FIXED_BITS = 88

_FIRST = 2 * ALWAYS - 1


@dataclass
class Pass:
    """One sorted pass.

    Attributes:
        alias: what it is joined as.
        axis: SQL of a row's place, in microseconds, over the interval rows.
        where: SQL condition for the rows that take part; None for all.
        terms: SQL of what is summed to the column that holds its total.
        shifts: how far before the spine's instant totals are read; BASE before all rows.
    """

    name: str
    alias: str
    axis: str
    where: str | None = None
    terms: dict[str, str] = field(default_factory=dict)
    shifts: list[int | None] = field(default_factory=list)
    counted: bool = False

    def read(self, term: str, shift: int | None) -> str:
        """SQL of the total of a term at a shift, over this pass's result."""
        if shift not in self.shifts:
            self.shifts.append(shift)
        number = self.shifts.index(shift)
        if term == ROWS:
            self.counted = True
            return f"{self.alias}.fb_n_{number}"
        column = self.terms.setdefault(term, f"fb_v{len(self.terms) + 1}")
        return f"{self.alias}.{column}_{number}"

    @property
    def axis_name(self) -> str:
        """The CTE of its rows and markers."""
        return f'{self.name[:-1]}__axis"'

    @property
    def columns(self) -> list[str]:
        """The columns read at a marker: totals, and perhaps the number of preceding rows."""
        return [*(["fb_n"] if self.counted else []), *self.terms.values()]


@dataclass
class Passes:
    """The passes of one scope, created on first use."""

    scope: ViewScope
    made: dict[str, Pass] = field(default_factory=dict)

    def on(self, name: str, axis: str, where: str | None = None) -> Pass:
        """The pass of that name."""
        alias = f"p{len(self.made) + 1}"
        return self.made.setdefault(name, Pass(self.scope.name(name), alias, axis, where))

    def subqueries(self, cross: str = "") -> list[Subquery]:
        """The CTEs, of which each pass's own has a row per spine row.

        Args:
            cross: a join that the terms read from, such as of units.
        """
        scope = self.scope
        marks = Subquery(
            scope.name("marks"),
            f"select i.fb_key, s.{AXIS}, s.{ROW} from {scope.name('spine')} as s "
            f"join {scope.name('ids')} as i on {scope.same_key('s', 'i')}",
        )
        passes = [q for p in self.made.values() for q in (self._axis(p, cross), self._totals(p))]
        return [numbered_keys(scope), marks, *passes]

    def _axis(self, one: Pass, cross: str) -> Subquery:
        """Rows and markers in one relation, each with its place."""
        scope, count = self.scope, len(one.shifts)
        where = f" where {one.where}" if one.where else ""
        terms = "".join(f", {sql} as {column}" for sql, column in one.terms.items())
        rows = (
            f"select i.fb_key, ({one.axis}) * 2 as fb_place, "
            f"cast(null as bigint) as fb_mark{terms} from {scope.name('rows')} as r "
            f"join {scope.name('ids')} as i on {scope.same_key('r', 'i')}{cross}{where}"
        )
        nulls = ", null" * len(one.terms)
        markers = [
            f"select s.fb_key, {marked_place(shift)}, s.{ROW} * {count} + {number}{nulls} "
            f"from {scope.name('marks')} as s"
            for number, shift in enumerate(one.shifts)
        ]
        # Read twice, once a half, so that each half sorts its own keys only.
        return Subquery(one.axis_name, " union all ".join([rows, *markers]), shared=False)

    def _totals(self, one: Pass) -> Subquery:
        # Two halves of the keys, so that two threads can each follow an order.
        read = " union all ".join(_half(one, half) for half in (0, 1))
        return Subquery(one.name, read_columns(one, read))

    def alone(self) -> Pass | None:
        """A pass that is read by itself, since it has a row for every spine row."""
        return None

    def joins(self, row: str) -> str:
        """SQL that joins every pass to a relation's spine rows."""
        return " ".join(
            f"left join {p.name} as {p.alias} on {p.alias}.{ROW} = {row}.{ROW}"
            for p in self.made.values()
        )


def read_columns(one: Pass, read: str) -> str:
    """SQL with a row per spine row and a column per total and shift.

    Args:
        read: SQL of a row per spine row and shift, ``fb_read``.
    """
    if len(one.shifts) == 1:
        listed = ", ".join(f"{c} as {c}_0" for c in one.columns)
        return f"select {ROW}, {listed} from ({read}) as read_at"
    picked = ", ".join(
        f"any_value({c}) filter (where fb_read = {n}) as {c}_{n}"
        for c in one.columns
        for n in range(len(one.shifts))
    )
    return f"select {ROW}, {picked} from ({read}) as read_at group by {ROW}"


def _half(one: Pass, half: int) -> str:
    """Totals at the markers of every second key."""
    count = len(one.shifts)
    totals = [f"sum({c}) over ({SO_FAR}) as {c}" for c in one.terms.values()]
    totals += ["row_number() over () as fb_n"] if one.counted else []
    # Of all rows before a marker those that are markers themselves are none to be counted.
    held = ["fb_n - row_number() over () as fb_n"] if one.counted else []
    held += [f"coalesce({c}, 0) as {c}" for c in one.terms.values()]
    row = f"fb_mark // {count} as {ROW}, fb_mark % {count} as fb_read"
    row = row if count > 1 else f"fb_mark as {ROW}"
    source = followed(one.axis_name, f"where fb_key & 1 = {half}")
    running = (
        f"select fb_mark, fb_key, fb_place, fb_key_before, fb_place_before, {', '.join(totals)} "
        f"from {source}"
    )
    return f"select {row}, {', '.join(held)} from ({running}) as running where {MARKERS}"


def marked_place(shift: int | None) -> str:
    """SQL of the place at which totals are read that far before a spine row's instant."""
    if shift is None:
        return str(_FIRST)
    return f"(s.{AXIS} - {shift}) * 2 + 1" if shift else f"s.{AXIS} * 2 + 1"


def units_sql(rows: str, values: Mapping[str, str]) -> str:
    """SQL of one row: for each double a power of two, and whether all doubles fit fixed point.

    A value becomes an integer count of units. Units are as fine as the sum of all absolute values
    lets them be within FIXED_BITS, and fine enough only if the least value is right to 2^-32 of
    itself; a value that is not finite never fits.

    Args:
        values: SQL of a double to the name of its unit.
    """
    parts, units, fits = [], [], []
    for sql, name in values.items():
        parts += [
            f"sum(abs({sql})) filter (where isfinite({sql})) as {name}_all",
            f"min(abs({sql})) filter (where isfinite({sql}) and {sql} <> 0) as {name}_least",
            f"count(*) filter (where not isfinite({sql})) as {name}_odd",
        ]
        power = f"case when {name}_all > 0 then {FIXED_BITS} - ceil(log2({name}_all)) else 0 end"
        units.append(f"{power} as {name}_power")
        fits.append(
            f"{name}_odd = 0 and coalesce(isfinite({name}_all), true) and abs({name}_power) <= 1000 "
            f"and coalesce({name}_power + floor(log2({name}_least)) >= 31, true)"
        )
    names = ", ".join(
        f"cast(pow(2, case when abs({n}_power) <= 1000 then {n}_power else 0 end) as double) as {n}"
        for n in values.values()
    )
    return (
        f"select {names}, {' and '.join(fits)} as fb_fits from "
        f"(select *, {', '.join(units)} from (select {', '.join(parts)} from {rows}) as extent) as units"
    )
