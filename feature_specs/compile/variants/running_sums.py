"""Running sums: the exact counts and totals from which a group's aggregates are made.

They are columns of the feature table itself, so that a step can add to them what has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Draft, IntervalForm, Window
from feature_specs.compile.lowerings.exact_totals import SPREADS, finished, square
from feature_specs.compile.lowerings.interval_rows import (
    MEMBERS,
    IntervalRows,
    condition_of,
    over_rows,
)
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.exact_types import exact_type
from feature_specs.compile.sql.lay_out import lay_out
from feature_specs.names import OWN_COLUMNS
from feature_specs.quote import quoted

#: The types of the sums: those of whole numbers are as wide as Iceberg's are.
COUNTED, WHOLE = "bigint", "decimal(38, 0)"


@dataclass
class RunningSums:
    """The running sums of a form: SQL of what is summed, by the column that holds it.

    Attributes:
        made: column to (window, condition, term, type); a term of None counts rows. A column's name
            is made of what it sums, so that one never passes for another.
        totals: aggregate to the sum of which it is null only while there is nothing to sum.
    """

    draft: Draft
    form: IntervalForm
    made: dict[str, tuple[Window, str | None, str | None, str]] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.made[MEMBERS] = (self.form.window, None, None, COUNTED)

    def value(self, part: AggregateCall) -> str:
        """SQL of an aggregate over the sums."""
        function = part.function
        test = condition_of(self.form, part)
        condition = duckdb_sql(test) if test is not None else None

        def count(also: str | None) -> str:
            tests = [t for t in (condition, also) if t]
            return self._column(part.window, " and ".join(f"({t})" for t in tests) or None)

        if isinstance(function, exp.Count) and isinstance(function.this, exp.Star):
            return count(None)
        x = f"({duckdb_sql(over_rows(function.this))})"
        n = count(f"not {x} is null")
        if isinstance(function, exp.Count):
            return n

        def total(term: str, kind: str = WHOLE) -> str:
            column = self._column(part.window, condition, term, kind)
            if isinstance(function, (exp.Sum, exp.CountIf)):
                self.totals[part.name] = column
            return f"cast({column} as hugeint)" if kind == WHOLE else column

        if isinstance(function, exp.CountIf):
            # DuckDB's count_if is a sum: of no known condition it is null.
            return f"case when {n} > 0 then {total(f'cast({x} as int)')} end"
        kind = exact_type(function.this)
        assert kind is not None
        if isinstance(function, SPREADS):
            return finished(function, kind, n, total(x), lambda: total(square(x)))
        stored = f"decimal(38, {kind.scale})" if kind.decimal else WHOLE
        return finished(function, kind, n, total(x, stored), str)

    def _column(
        self,
        window: Window,
        condition: str | None,
        term: str | None = None,
        kind: str = COUNTED,
    ) -> str:
        what = (window, condition, term, kind)
        if what == self.made[MEMBERS]:
            return MEMBERS
        spelled = [[(duckdb_sql(t.instant), t.offset) for t in side] for side in
                   (window.starts, window.ends)]  # fmt: skip
        text = repr((spelled, condition, term, kind))
        name = f"{OWN_COLUMNS}{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
        self.made.setdefault(name, what)
        return name

    def fold(self, rows: IntervalRows) -> str:
        """SQL of the sums at T1 over rows."""
        alive = {w: self._alive(rows, w, _axis("as_of")) for w in self._windows()}
        items = []
        for name, (window, condition, term, kind) in self.made.items():
            own = [alive[window]] if window != self.form.window else []
            where = " and ".join(f"({t})" for t in [*own, condition] if t)
            filtering = f" filter (where {where})" if where else ""
            total = f"coalesce(sum({term}){filtering}, 0)" if term else f"count(*){filtering}"
            items.append(f"cast({total} as {kind}) as {name}")
        return lay_out(
            f"select {self._keys}, {', '.join(items)} from ({rows.sql}) as living "
            f"where {alive[self.form.window]} group by {self._keys}"
        )

    def deltas(self, kept: IntervalRows, added: IntervalRows) -> str:
        """SQL of what the sums change by: rows that came weigh 1, rows that went -1.

        Written for a planner that has few rows to plan for: every expression costs more than a row.
        """
        place = {w: i for i, w in enumerate(self._windows())}
        sides = []
        for rows, known in ((kept, True), (added, False)):
            weights = [
                f"cast({self._alive(rows, w, 'fb_after')} as tinyint)"
                + (f" - cast({self._alive(rows, w, 'fb_before')} as tinyint)" if known else "")
                + f" as fb_weight{i}"
                for w, i in place.items()
            ]
            before = f", {_axis('before')} as fb_before" if known else ""
            columns = ", ".join([self._keys, *weights, *rows.passed])
            sides.append(
                f"select {columns} from (select *, {_axis('as_of')} as fb_after{before} "
                f"from ({rows.sql}) as side) as side"
            )
        items = []
        for name, (window, condition, term, kind) in self.made.items():
            weight = f"fb_weight{place[window]}"
            if term is not None:
                # Whole numbers widen first: the least of a type has no negative in it.
                value = f"cast({term} as hugeint)" if kind == WHOLE else term
                weighed = f"case {weight} when 1 then {value} when -1 then -({value}) end"
            else:
                weighed = weight
            filtering = f" filter (where {condition})" if condition else ""
            items.append(f"cast(coalesce(sum({weighed}){filtering}, 0) as {kind}) as {name}")
        return lay_out(
            f"select {self._keys}, {', '.join(items)} from ({' union all '.join(sides)}) as moving "
            f"group by {self._keys}"
        )

    def told(self, values: Mapping[str, str]) -> dict[str, str]:
        """Map each sum to the SQL that reads it from a table row.

        Args:
            values: aggregate to its SQL over the sums.
        """
        found: dict[str, str] = {}
        for name, node in self.form.columns.items():
            if isinstance(node, exp.Column) and values.get(node.name) in self.made:
                found.setdefault(values[node.name], quoted(name))
            elif isinstance(node, exp.Column) and node.name in self.totals:
                found.setdefault(self.totals[node.name], f"coalesce({quoted(name)}, 0)")
        return {name: found.get(name, name) for name in self.made}

    def finish(self, values: Mapping[str, str]) -> str:
        """SQL of the keys, the stored columns and the sums of the groups in ``forebay_summed``."""
        own = [name for name, sql in self.told(values).items() if sql == name]
        listed = "".join(f", {sql} as {name}" for name, sql in values.items())
        columns = [
            f"{duckdb_sql(self.form.columns[n])} as {quoted(n)}" for n in self.draft.stored_names
        ]
        return lay_out(
            f"select {', '.join([self._keys, *columns, *own])} from (select {self._keys}, "
            f"{', '.join(self.made)}{listed} from forebay_summed where {MEMBERS} > 0) as groups"
        )

    @property
    def _keys(self) -> str:
        return ", ".join(quoted(k) for k in self.draft.view.entities)

    def _windows(self) -> list[Window]:
        return list(dict.fromkeys(window for window, *_ in self.made.values()))

    def _alive(self, rows: IntervalRows, window: Window, instant: str) -> str:
        place = rows.place(window)
        tests = [f"{rows.starts[place]} <= {instant}"]
        if rows.ends[place] is not None:
            tests.append(f"{instant} < {rows.ends[place]}")
        return f"({' and '.join(tests)})"


def _axis(parameter: str) -> str:
    return f"epoch_us(cast(${parameter} as timestamptz))"
