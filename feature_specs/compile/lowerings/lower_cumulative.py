"""Running totals over starts minus running totals over ends: exact counts, sums and moments.

Where every row lives equally long, the rows that have ended by t are those that had started by t
less that length, so both totals are one table, read at two instants (DESIGN 3, lowering 2). With
arrival, rows start on one axis and leave on another: those that arrive before the narrowest window
ends share a second pass, and the few that are later leave in passes of their own.

A float is summed as an integer count of units (``units_sql``), so that its totals subtract exactly;
where the data span too many magnitudes for that, the same statement takes another lowering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Subquery, Window
from feature_specs.compile.lowerings.exact_totals import SPREADS, finished, square
from feature_specs.compile.lowerings.interval_rows import condition_of, over_rows
from feature_specs.compile.lowerings.lower_frames import lower_frames, lowers_by_frames
from feature_specs.compile.lowerings.lower_stab import lower_stab
from feature_specs.compile.lowerings.lowered import ROW, Piece, ViewScope, names_of
from feature_specs.compile.lowerings.running_totals import BASE, ROWS, Passes, units_sql
from feature_specs.compile.lowerings.tiles import TiledPasses
from feature_specs.compile.sql.aggregates import known_aggregate
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.exact_types import ExactType, exact_type, is_float

_SHIFT = 90
_ONE = f"cast({2**_SHIFT} as hugeint)"
_HALF = f"cast({2 ** (_SHIFT - 1)} as hugeint)"


def lowers_cumulatively(part: AggregateCall) -> str | None:
    """The reason why an aggregate cannot be read from running totals, or None if it can."""
    function = part.function
    known = known_aggregate(function)
    if known is None or known.totals is None:
        return f"{function.key} cannot be subtracted"
    several = isinstance(function, exp.Count) and function.expressions
    if several or (
        isinstance(function.this, exp.Distinct) and not isinstance(function, exp.CountIf)
    ):
        return "distinct values cannot be subtracted"
    if known.totals == "count" or (known.totals == "sum" and is_float(function.this)):
        return None
    kind = exact_type(function.this)
    if kind is None:
        return f"{duckdb_sql(function.this)} is neither exact nor a float"
    if known.totals == "squares" and kind.bits != 32:
        return "squares of wide numbers overflow"
    return None


def lower_cumulative(scope: ViewScope, parts: list[AggregateCall], *, tiled: bool = False) -> Piece:
    """Lower aggregates for which ``lowers_cumulatively`` gives no reason, in shared passes.

    Args:
        tiled: sum the rows between markers first, rather than sort them.
    """
    totals = _Totals(scope, parts, TiledPasses(scope) if tiled else Passes(scope))
    values = {p.name: totals.value(p) for p in parts}
    name, units = scope.name("totals"), scope.name("units")
    floats = [p for p in parts if _sums_floats(p)]
    made: list[Subquery] = []
    joins = ""
    cross = f" cross join {units} as u" if floats else ""
    if floats:
        made.append(Subquery(units, units_sql(scope.name("rows"), totals.units)))
    made += totals.passes.subqueries(cross)
    if floats:
        spread, fallback = _spread(scope, floats, units)
        made += spread
        for piece in fallback:
            joins += f" left join {piece.name} on {piece.name}.{ROW} = s.{ROW}"
            for part in piece.provides:
                values[part] = (
                    f"case when u.fb_fits then {values[part]} else {piece.name}.{part} end"
                )
    listed = ", ".join(f"{sql} as {part}" for part, sql in values.items())
    select = f"select s.{ROW}, {listed} from ({totals.sql()}) as s{cross}{joins}"
    return Piece(name, (*made, Subquery(name, select)), names_of(parts))


def _sums_floats(part: AggregateCall) -> bool:
    return isinstance(part.function, (exp.Sum, exp.Avg)) and is_float(part.function.this)


def _spread(
    scope: ViewScope, parts: list[AggregateCall], units: str
) -> tuple[list[Subquery], list[Piece]]:
    """The same sums by lowerings that take any floats, over nothing where fixed point will do."""
    other = replace(scope, prefix=f"{scope.prefix}__spread")
    made = [
        Subquery(
            other.name(part),
            f"select * from {scope.name(part)} where not (select fb_fits from {units})",
        )
        for part in ("rows", "spine")
    ]
    framed = [p for p in parts if lowers_by_frames(p) is None]
    stabbed = [p for p in parts if lowers_by_frames(p) is not None]
    pieces = lower_frames(other, framed) if framed else []
    pieces += [lower_stab(other, stabbed)] if stabbed else []
    return [*made, *(q for p in pieces for q in p.subqueries)], pieces


@dataclass
class _Totals:
    """Aggregates as expressions over passes."""

    scope: ViewScope
    parts: Sequence[AggregateCall]
    passes: Passes
    units: dict[str, str] = field(default_factory=dict)
    differences: dict[str, str] = field(default_factory=dict)
    counts: dict[str, str] = field(default_factory=dict)

    def sql(self) -> str:
        """SQL of the differences that the values read so far are made of."""
        listed = "".join(f", {sql} as {name}" for sql, name in self.differences.items())
        alone = self.passes.alone()
        source = f"{self.scope.name('spine')} as s {self.passes.joins('s')}"
        row = f"s.{ROW}" if alone is None else f"{alone.alias}.{ROW}"
        source = source if alone is None else f"{alone.name} as {alone.alias}"
        select = f"select {row}{listed} from {source}"
        counts = "".join(
            f", ({packed} + {_HALF}) >> {_SHIFT} as {name}" for packed, name in self.counts.items()
        )
        return f"select *{counts} from ({select}) as read_at" if counts else select

    def _packed_count(self, packed: str) -> str:
        """The number of values in a packed difference."""
        return self.counts.setdefault(packed, f"fb_members{len(self.counts) + 1}")

    def value(self, part: AggregateCall) -> str:
        """SQL of the aggregate over ``sql()``."""
        test = condition_of(self.scope.form, part)
        condition = duckdb_sql(test) if test is not None else None
        function = part.function

        def read(sql: str) -> str:
            term = f"case when {condition} then {sql} end" if condition else sql
            difference = self._difference(part.window, term)
            return self.differences.setdefault(difference, f"fb_total{len(self.differences) + 1}")

        if isinstance(function, exp.Count):
            if isinstance(function.this, exp.Star):
                return f"cast({read(ROWS)} as bigint)"
            x = self._argument(part)
            return f"cast({read(f'case when not {x} is null then 1 end')} as bigint)"
        x = self._argument(part)
        kind = exact_type(function.this)
        if kind is not None and kind.small and not isinstance(function, SPREADS):
            packed = read(_packed(x, kind))
            n = self._packed_count(packed)
            return finished(function, kind, n, _unpacked(packed, n, kind), str)
        if _sums_floats(part):
            unit = f"u.{self._unit(x)}"
            whole = f"cast({x} * {unit} as hugeint) + {_ONE}"
            packed = read(f"case when u.fb_fits then {whole} end")
            n = self._packed_count(packed)
            total = f"cast({packed} - {n} * {_ONE} as double) / {unit}"
            mean = f" / cast({n} as double)" if isinstance(function, exp.Avg) else ""
            return f"case when {n} > 0 then {total}{mean} end"
        n = read(f"case when not {x} is null then 1 end")
        if isinstance(function, exp.CountIf):
            # DuckDB's count_if is a sum: of no known condition it is null.
            return f"case when {n} > 0 then cast({read(f'cast({x} as int)')} as hugeint) end"
        assert kind is not None
        return finished(function, kind, n, read(x), lambda: read(square(x)))

    def _unit(self, x: str) -> str:
        return self.units.setdefault(x, f"fb_unit{len(self.units) + 1}")

    def _argument(self, part: AggregateCall) -> str:
        return f"({duckdb_sql(over_rows(part.function.this))})"

    def _difference(self, window: Window, term: str) -> str:
        rows, place = self.scope.rows, self.scope.rows.place(window)
        start, end = rows.starts[place], rows.ends[place]
        came_pass = self.passes.on(f"came_{start}", start)
        came = came_pass.read(term, 0)
        if end is None:
            return f"({came} - {came_pass.read(term, BASE)})"
        if window.width is not None and window.width > 0:
            return f"({came} - {came_pass.read(term, window.width)})"
        # All rows of the keys before have come and have left: both totals hold them, so the
        # difference does not.
        leaving = self._apart(window)
        if leaving is None:
            # A row that would end before it starts is added and removed at once.
            left = self.passes.on(f"left_{start}_{end}", f"greatest({start}, {end})")
            return f"({came} - {left.read(term, 0)})"
        first, after = leaving
        timely = self.passes.on(f"timely_{start}_{first}", first, f"{start} <= {first}")
        late = self.passes.on(
            f"late_{start}_{first}_{end}", f"greatest({start}, {end})", f"{start} > {first}"
        )
        return f"({came} - {timely.read(term, after)} - {late.read(term, 0)})"

    def _apart(self, window: Window) -> tuple[str, int] | None:
        """Where rows leave a fixed time after one of their times: when they leave the narrowest
        window that has both axes in common, and how much later they leave this one."""
        if len(window.ends) != 1 or window.ends[0].on_axis:
            return None
        end = window.ends[0]
        narrowest = min(
            (
                p.window
                for p in self.parts
                if p.window.starts == window.starts
                and len(p.window.ends) == 1
                and p.window.ends[0].instant == end.instant
            ),
            key=lambda w: w.ends[0].offset,
        )
        first = self.scope.rows.ends[self.scope.rows.place(narrowest)]
        assert first is not None
        return first, end.offset - narrowest.ends[0].offset


def _packed(x: str, kind: ExactType) -> str:
    """A value and its count of one in a single number: 2^90 + x, with x in whole units."""
    whole = f"cast({x} * {10**kind.scale} as hugeint)" if kind.decimal else f"cast({x} as hugeint)"
    return f"{whole} + {_ONE}"


def _unpacked(packed: str, n: str, kind: ExactType) -> str:
    """The sum unpacked from a packed difference."""
    whole = f"({packed} - {n} * {_ONE})"
    if not kind.decimal:
        return whole
    if kind.scale == 0:
        return f"cast({whole} as decimal(38, 0))"
    unit = f"cast({10.0**-kind.scale:.{kind.scale}f} as decimal({kind.scale}, {kind.scale}))"
    return f"(cast({whole} as decimal({38 - kind.scale}, 0)) * {unit})"
