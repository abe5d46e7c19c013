"""Group the rows between two markers into tiles, so that only markers are sorted, never rows.

A marker is an instant at which something about the rows before it is asked. Each row meets the first
marker of its key at or after it (an ASOF join, which Trino makes a binary search), and what a marker
sees is the tiles so far. For engines that sort slowly: a tile's rows are hashed, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feature_specs.compile.draft import Subquery
from feature_specs.compile.lowerings.lowered import ROW, ViewScope
from feature_specs.compile.lowerings.running_totals import Pass, Passes, marked_place, read_columns
from feature_specs.compile.lowerings.sorted_axis import numbered_keys

#: A frame over the tiles so far, those of markers at the same place too.
SO_FAR = (
    "over (partition by m.fb_key order by m.fb_place range between unbounded preceding "
    "and current row)"
)


def key_subqueries(scope: ViewScope) -> list[Subquery]:
    """The numbers of keys, where a key is not a whole number and so its own."""
    return [] if scope.whole_key else [numbered_keys(scope)]


def markers(scope: ViewScope, name: str, shifts: Sequence[int | None]) -> Subquery:
    """A row for each instant of the spine and shift, with its place and number."""
    count = len(shifts)
    spine = f"{scope.name('spine')} as s"
    key = f"s.{scope.keys[0]}" if scope.whole_key else "i.fb_key"
    if not scope.whole_key:
        spine += f" join {scope.name('ids')} as i on {scope.same_key('s', 'i')}"
    if count == 1:
        place, mark = marked_place(shifts[0]), f"s.{ROW}"
    else:
        # The spine is read once, which an engine would else do for each shift.
        spine += " cross join (values " + ", ".join(f"({n})" for n in range(count))
        spine += ") as reads(fb_read)"
        branches = " ".join(f"when {n} then {marked_place(s)}" for n, s in enumerate(shifts))
        place, mark = f"case reads.fb_read {branches} end", f"s.{ROW} * {count} + reads.fb_read"
    return Subquery(
        name, f"select {key} as fb_key, {place} as fb_place, {mark} as fb_mark from {spine}"
    )


def tiles(
    scope: ViewScope,
    rows: str,
    axis: str,
    marks: str,
    values: Mapping[str, str],
    *,
    cross: str = "",
    where: str | None = None,
) -> str:
    """SQL of the tiles: the marker, the last start of its rows as ``fb_at``, and aggregates.

    Args:
        rows: the relation of rows, read as r.
        axis: SQL of a row's start.
        values: column to SQL of what is aggregated, over r.
    """
    key = f"r.{scope.keys[0]}" if scope.whole_key else "i.fb_key"
    source = f"{rows} as r"
    if not scope.whole_key:
        source += f" join {scope.name('ids')} as i on {scope.same_key('r', 'i')}"
    listed = "".join(f", {sql} as {column}" for column, sql in values.items())
    test = f" where {where}" if where else ""
    placed = f"select {key} as fb_key, ({axis}) * 2 as fb_at{listed} from {source}{cross}{test}"
    sums = "".join(f", sum(r.{column}) as {column}" for column in values)
    return (
        f"select m.fb_mark, max(r.fb_at) as fb_at, count(*) as fb_n{sums} from ({placed}) as r "
        f"asof left join {marks} as m on r.fb_key = m.fb_key and r.fb_at <= m.fb_place "
        "group by m.fb_mark"
    )


class TiledPasses(Passes):
    """Passes that read running totals from tiles."""

    def subqueries(self, cross: str = "") -> list[Subquery]:
        made = [q for p in self.made.values() for q in self._tiled(p, cross)]
        return [*key_subqueries(self.scope), *made]

    def alone(self) -> Pass | None:
        # A join with the spine would number its rows once more, on an engine that inlines.
        return next(iter(self.made.values())) if len(self.made) == 1 else None

    def _tiled(self, one: Pass, cross: str) -> list[Subquery]:
        scope = self.scope
        marks, tiled = f'{one.name[:-1]}__marks"', f'{one.name[:-1]}__tiles"'
        terms = {column: sql for sql, column in one.terms.items()}
        made = tiles(
            scope, scope.name("rows"), one.axis, marks, terms, cross=cross, where=one.where
        )
        totals = "".join(f", sum(t.{c}) {SO_FAR} as {c}" for c in one.columns)
        running = (
            f"select m.fb_mark, m.fb_place{totals} from {marks} as m left join {tiled} as t "
            "on t.fb_mark = m.fb_mark and t.fb_at <= m.fb_place"
        )
        count = len(one.shifts)
        row = f"fb_mark // {count} as {ROW}, fb_mark % {count} as fb_read"
        held = "".join(f", coalesce({c}, 0) as {c}" for c in one.columns)
        read = (
            f"select {row if count > 1 else f'fb_mark as {ROW}'}{held} "
            f"from ({running}) as running where fb_mark > 0"
        )
        return [
            markers(scope, marks, one.shifts),
            Subquery(tiled, made),
            Subquery(one.name, read_columns(one, read)),
        ]


def last_tiled_starts(histories: Sequence[ViewScope]) -> list[Subquery]:
    """Subqueries, the last of which is the first history's ``matched``, with a row per spine row.

    Its columns are the spine row's number, its key ``fb_key`` and, for the n-th history,
    ``fb_matched<n>``: the last start at or before the instant, null where there is none.
    """
    first = histories[0]
    marks = first.name("marks")
    made = [*key_subqueries(first), markers(first, marks, [0])]
    lasts, joins = "", ""
    for place, history in enumerate(histories):
        name = history.name("tiles")
        sql = tiles(first, history.name("rows"), f"r.{history.rows.starts[0]}", marks, {})
        made.append(Subquery(name, sql))
        lasts += f", max(t{place}.fb_at) {SO_FAR} as fb_last{place}"
        joins += (
            f" left join {name} as t{place} on t{place}.fb_mark = m.fb_mark "
            f"and t{place}.fb_at <= m.fb_place"
        )
    matched = "".join(f", fb_last{n} // 2 as fb_matched{n}" for n in range(len(histories)))
    sql = (
        f"select fb_mark as {ROW}, fb_key{matched} "
        f"from (select m.fb_mark, m.fb_key{lasts} from {marks} as m{joins}) as running"
    )
    return [*made, Subquery(first.name("matched"), sql)]
