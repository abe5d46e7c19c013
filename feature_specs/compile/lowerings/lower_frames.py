"""Lower trailing windows to window frames over events and spine rows together.

Right for floats, min and max, since each frame is aggregated by itself; needs rows that leave in
the order in which they came (DESIGN 3, lowering 3).
"""

from __future__ import annotations

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Subquery
from feature_specs.compile.lowerings.interval_rows import IntervalRows, condition_of, over_rows
from feature_specs.compile.lowerings.lowered import AXIS, ROW, Piece, ViewScope, filtered, names_of
from feature_specs.compile.sql.aggregates import classes
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.compile.sql.exact_types import is_widest

#: Aggregates that DuckDB evaluates over a frame.
_FRAMED = classes(lambda known: "duckdb" in known.framed)


def lowers_by_frames(part: AggregateCall) -> str | None:
    """The reason why a frame would not hold exactly the rows that count, or None if it does."""
    if not isinstance(part.function, _FRAMED):
        return f"{part.function.key} is not evaluated over frames"
    if isinstance(part.function, exp.Sum) and is_widest(part.function.this):
        return "a total that nobody asks for could overflow"
    if len(part.window.starts) != 1:
        return "rows become visible on another axis than the one on which they leave"
    if not part.window.never_ends and (part.window.width or 0) <= 0:
        return "rows do not all live equally long"
    return None


def lower_frames(scope: ViewScope, parts: list[AggregateCall]) -> list[Piece]:
    """Lower aggregates for which ``lowers_by_frames`` gives no reason; one pass per time axis."""
    axes: dict[str, list[AggregateCall]] = {}
    for part in parts:
        axes.setdefault(scope.rows.starts[scope.rows.place(part.window)], []).append(part)
    return [_one_axis(scope, axis, chosen) for axis, chosen in axes.items()]


def _one_axis(scope: ViewScope, axis: str, parts: list[AggregateCall]) -> Piece:
    keys = ", ".join(scope.keys)
    frames: dict[str, str] = {}
    values = []
    for part in parts:
        width = part.window.width
        # RANGE includes its edge, but a row has left at start + width: hence the microsecond.
        reach = "unbounded" if part.window.never_ends or width is None else str(width - 1)
        frame = frames.setdefault(reach, f"frame{len(frames) + 1}")
        test = condition_of(scope.form, part)
        where = f"{ROW} is null" + (f" and ({duckdb_sql(test)})" if test is not None else "")
        value = filtered(over_rows(part.function), where)
        values.append(f"{value} over {frame} as {part.name}")
    columns = _columns(scope.rows, parts)
    listed = "".join(f", {c}" for c in columns)
    nulls = ", null" * len(columns)
    windows = ", ".join(
        f"{frame} as (partition by {keys} order by fb_at "
        f"range between {reach} preceding and current row)"
        for reach, frame in frames.items()
    )
    sql = (
        f"select * from (select {ROW}, {', '.join(values)} from ("
        f"select {keys}, {axis} as fb_at, cast(null as bigint) as {ROW}{listed} "
        f"from {scope.name('rows')} "
        f"union all select {keys}, {AXIS}, {ROW}{nulls} from {scope.name('spine')}"
        f") as together window {windows}) as framed where not {ROW} is null"
    )
    name = scope.name(f"frames_{axis}")
    return Piece(name, (Subquery(name, sql),), names_of(parts))


def _columns(rows: IntervalRows, parts: list[AggregateCall]) -> list[str]:
    nodes: list[exp.Expr] = []
    for part in parts:
        nodes += [part.function, *([part.condition] if part.condition is not None else [])]
    found = [duckdb_sql(c) for n in nodes for c in over_rows(n).find_all(exp.Column)]
    return list(dict.fromkeys(found))
