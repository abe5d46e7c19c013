"""Running sums: the exact counts and totals from which a group's aggregates are made.

They are columns of the feature table itself, so that a step can add to them what has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from feature_specs.compile.draft import Contribution, Draft, IntervalForm, Window
from feature_specs.compile.exact_types import exact_type
from feature_specs.compile.interval_rows import MEMBERS, IntervalRows, condition_of, over_rows
from feature_specs.compile.lay_out import lay_out
from feature_specs.compile.lower_cumulative import MOMENTS, finished, square
from feature_specs.compile.lowered import quoted

#: What the names of the sums begin with; no feature or entity may.
RESERVED = "fb_"

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

    def value(self, part: Contribution) -> str:
        """SQL of an aggregate over the sums."""
        function = part.function
        test = condition_of(self.form, part)
        condition = test.sql("duckdb") if test is not None else None

        def count(also: str | None) -> str:
            tests = [t for t in (condition, also) if t]
            return self._column(part.window, " and ".join(f"({t})" for t in tests) or None)

        if isinstance(function, exp.Count) and isinstance(function.this, exp.Star):
            return count(None)
        x = f"({over_rows(function.this).sql('duckdb')})"
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
        if isinstance(function, tuple(MOMENTS)):
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
        spelled = [[(t.instant.sql("duckdb"), t.offset) for t in side] for side in
                   (window.starts, window.ends)]  # fmt: skip
        text = repr((spelled, condition, term, kind))
        name = f"{RESERVED}{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
        self.made.setdefault(name, what)
        return name

    def fold(self, rows: IntervalRows) -> str:
        """SQL of the sums at T1 over rows."""
        alive = {w: self._alive(rows, w, "as_of") for w in self._windows()}
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
        """SQL of what the sums change by: for each window, rows that came less rows that went."""
        windows = self._windows()
        place = {w: i for i, w in enumerate(windows)}
        sides = []
        for rows, known in ((kept, True), (added, False)):
            marks = [
                f"{self._alive(rows, w, 'as_of')} as fb_is{i}, "
                f"{self._alive(rows, w, 'before') if known else 'false'} as fb_was{i}"
                for w, i in place.items()
            ]
            sides.append(f"select *, {', '.join(marks)} from ({rows.sql}) as side")
        items = []
        for name, (window, condition, term, kind) in self.made.items():
            i = place[window]
            also = f" and ({condition})" if condition else ""
            came, went = (f"fb_is{i} and not fb_was{i}{also}", f"fb_was{i} and not fb_is{i}{also}")
            parts = [
                f"coalesce(sum({term}) filter (where {w}), 0)"
                if term
                else f"count(*) filter (where {w})"
                for w in (came, went)
            ]
            items.append(f"cast({parts[0]} - {parts[1]} as {kind}) as {name}")
        moved = " or ".join(f"fb_is{i} <> fb_was{i}" for i in place.values())
        return lay_out(
            f"select {self._keys}, {', '.join(items)} from ({' union all '.join(sides)}) as moving "
            f"where {moved} group by {self._keys}"
        )

    def told(self, values: Mapping[str, str]) -> dict[str, str]:
        """Sum to SQL of it over a row of the table: a column of its own, or a stored one.

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
            f"{self.form.columns[n].sql('duckdb')} as {quoted(n)}" for n in self.draft.stored_names
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
        at = f"epoch_us(cast(${instant} as timestamptz))"
        place = rows.place(window)
        tests = [f"{rows.starts[place]} <= {at}"]
        if rows.ends[place] is not None:
            tests.append(f"{at} < {rows.ends[place]}")
        return f"({' and '.join(tests)})"
