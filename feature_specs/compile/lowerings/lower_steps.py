"""Find the one row of each entity that is alive at an instant, by one as-of join.

Lives of one entity's rows do not overlap, so the row that started last is the one that lives, or
none does: an as-of join on the start, then a look at the end.
"""

from __future__ import annotations

from feature_specs.compile.draft import Subquery
from feature_specs.compile.lowerings.lower_latest import nearest
from feature_specs.compile.lowerings.lowered import AXIS, ROW, ViewScope
from feature_specs.compile.lowerings.rank_rows_of_history import answers_sql


def lower_steps(scope: ViewScope) -> Subquery:
    """The subquery ``features`` of a form in which each entity has one row at a time."""
    values = answers_sql(scope, "w")
    end = scope.rows.ends[0]
    alive = f" where s.{AXIS} < w.{end}" if end is not None else ""
    sql = (
        f"select s.{ROW}, {values} from {scope.name('spine')} as s "
        f"{nearest(scope, scope.name('rows'))}{alive}"
    )
    return Subquery(scope.name("features"), sql)
