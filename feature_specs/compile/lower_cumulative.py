"""Running totals over starts minus running totals over ends: exact counts, sums and moments.

One pass for any number of windows over one time column: where every row lives equally long, the
rows that have ended by t are those that had started by t less that length, so both totals are one
table, read at two instants (DESIGN 3, lowering 2). Never for floats, whose differences keep the
rounding of values that left long ago.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import Contribution, Subquery, Window
from feature_specs.compile.exact_types import ExactType, exact_type
from feature_specs.compile.interval_rows import condition_of, over_rows
from feature_specs.compile.lowered import AXIS, ROW, Piece, Scope, names_of

_MOMENTS: dict[type[exp.Expr], tuple[bool, bool]] = {
    # class: (sample rather than population, root of it)
    exp.Variance: (True, False), exp.VariancePop: (False, False),
    exp.Stddev: (True, True), exp.StddevSamp: (True, True), exp.StddevPop: (False, True),
}  # fmt: skip


def lowers_cumulatively(part: Contribution) -> str | None:
    """None where the aggregate can be read from running totals, else the reason why not."""
    function = part.function
    if isinstance(function, exp.CountIf):
        return None
    if isinstance(function, exp.Count):
        if isinstance(function.this, exp.Distinct) or function.expressions:
            return "distinct values cannot be subtracted"
        return None
    if isinstance(function, (exp.Sum, exp.Avg, *_MOMENTS)):
        if isinstance(function.this, exp.Distinct):
            return "distinct values cannot be subtracted"
        kind = exact_type(function.this)
        if kind is None:
            return f"{function.this.sql('duckdb')} is not exact, and float totals do not subtract"
        if isinstance(function, tuple(_MOMENTS)) and kind.bits != 32:
            return "squares of wide numbers overflow"
        return None
    return f"{function.key} cannot be subtracted"


@dataclass
class _Totals:
    """One table of running totals: its place on the axis and the terms it sums."""

    axis: str
    terms: dict[str, str] = field(default_factory=dict)

    def term(self, sums: str, kind: str) -> str:
        text = f"cast(sum({sums}) over totals as {kind})"
        if text not in self.terms:
            self.terms[text] = f"fb_total{len(self.terms) + 1}"
        return self.terms[text]


def lower_cumulative(scope: Scope, parts: list[Contribution]) -> Piece:
    """Lower aggregates for which ``lowers_cumulatively`` holds, all by one chain of as-of joins."""
    chain = _Chain(scope)
    values = [f"{chain.value(p)} as {p.name}" for p in parts]
    subqueries = [chain.totals_query(name, totals) for name, totals in chain.totals.items()]
    select = f"select s.{ROW}, {', '.join(values)} from {scope.name('spine')} as s " + " ".join(
        chain.joins()
    )
    name = scope.name("totals")
    return Piece(name, (*subqueries, Subquery(name, select)), names_of(parts))


class _Chain:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.totals: dict[str, _Totals] = {}
        self.reads: dict[tuple[str, int], str] = {}

    def value(self, part: Contribution) -> str:
        """SQL of the aggregate from the totals read so far."""
        test = condition_of(self.scope.form, part)
        where = f" filter (where {test.sql('duckdb')})" if test is not None else ""
        function = part.function

        def read(sql: str, kind: str) -> str:
            return self._difference(part.window, sql, kind, where)

        if isinstance(function, exp.CountIf):
            return read(f"cast(coalesce({self._argument(part)}, false) as int)", "bigint")
        if isinstance(function, exp.Count):
            counted = "1"
            if not isinstance(function.this, exp.Star):
                counted = f"cast(not {self._argument(part)} is null as int)"
            return read(counted, "bigint")
        kind = exact_type(function.this)
        assert kind is not None
        x = self._argument(part)
        n = read(f"cast(not {x} is null as int)", "bigint")
        total = read(x, kind.running)
        return _finish(function, kind, n, total, lambda: read(_square(x), "hugeint"))

    def _argument(self, part: Contribution) -> str:
        return f"({over_rows(part.function.this).sql('duckdb')})"

    def _difference(self, window: Window, term: str, kind: str, where: str) -> str:
        rows, place = self.scope.rows, self.scope.rows.place(window)
        start, end = rows.starts[place], rows.ends[place]
        came = self._read(f"came_{start}", start, 0, term, kind, where)
        if end is None:
            return came
        if window.width is not None and window.width > 0:
            left = self._read(f"came_{start}", start, window.width, term, kind, where)
        else:
            # A row that would end before it starts comes and leaves at once: nothing remains.
            axis = f"greatest({start}, {end})"
            left = self._read(f"left_{start}_{end}", axis, 0, term, kind, where)
        return f"({came} - {left})"

    def _read(self, name: str, axis: str, shift: int, term: str, kind: str, where: str) -> str:
        totals = self.totals.setdefault(name, _Totals(axis))
        alias = self.reads.setdefault((name, shift), f"r{len(self.reads) + 1}")
        # An instant at which no counted row starts sums to null, which the running sum skips.
        column = totals.term(f"sum({term}){where}", kind)
        return f"coalesce({alias}.{column}, 0)"

    def totals_query(self, name: str, totals: _Totals) -> Subquery:
        keys = ", ".join(self.scope.keys)
        terms = ", ".join(f"{text} as {column}" for text, column in totals.terms.items())
        sql = (
            f"select {keys}, {totals.axis} as fb_at, {terms} from {self.scope.name('rows')} "
            f"group by {keys}, fb_at "
            f"window totals as (partition by {keys} order by {totals.axis} "
            "rows between unbounded preceding and current row)"
        )
        return Subquery(self.scope.name(name), sql)

    def joins(self) -> list[str]:
        out = []
        for (name, shift), alias in self.reads.items():
            instant = f"s.{AXIS} - {shift}" if shift else f"s.{AXIS}"
            out.append(
                f"asof left join {self.scope.name(name)} as {alias} "
                f"on {self.scope.same_key('s', alias)} and {instant} >= {alias}.fb_at"
            )
        return out


def _square(x: str) -> str:
    return f"(cast({x} as hugeint) * {x})"


def _finish(
    function: exp.Expr, kind: ExactType, n: str, total: str, squares: Callable[[], str]
) -> str:
    if isinstance(function, exp.Sum):
        return f"case when {n} > 0 then cast({total} as {kind.total}) end"
    if isinstance(function, exp.Avg):
        return f"case when {n} > 0 then cast({total} as double) / {n} end"
    sample, root = _MOMENTS[type(function)]
    wide_n, wide_total = f"cast({n} as hugeint)", f"cast({total} as hugeint)"
    spread = f"cast({wide_n} * {squares()} - {wide_total} * {wide_total} as double)"
    least, weight = (
        (1, f"(cast({n} as double) * ({n} - 1))") if sample else (0, f"(cast({n} as double) * {n})")
    )
    value = f"{spread} / {weight}"
    return f"case when {n} > {least} then {f'sqrt({value})' if root else value} end"
