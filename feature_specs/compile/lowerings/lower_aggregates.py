"""Lower each aggregate of a grouped form as chosen, and join the results."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Subquery
from feature_specs.compile.lowerings.interval_rows import MEMBERS
from feature_specs.compile.lowerings.lower_cumulative import lower_cumulative
from feature_specs.compile.lowerings.lower_frames import lower_frames
from feature_specs.compile.lowerings.lower_stab import lower_stab
from feature_specs.compile.lowerings.lowered import ROW, Piece, ViewScope
from feature_specs.compile.sql.aggregates import classes
from feature_specs.compile.sql.duckdb_sql import duckdb_sql
from feature_specs.quote import quoted

#: Aggregates that are not null over no rows.
_COUNTS = classes(lambda known: known.zero)


def _is_zero_of_nothing(function: exp.Expr) -> bool:
    return isinstance(function, _COUNTS) or (
        isinstance(function, exp.AnonymousAggFunc) and function.name.lower() == "entropy"
    )


def lower_aggregates(
    scope: ViewScope, parts: Mapping[str, list[AggregateCall]], *, always: bool = False
) -> list[Subquery]:
    """CTEs, of which the last, ``features``, has a row for each instant at which the group exists.

    Args:
        always: the group exists with no member too, as it does without GROUP BY.
    """
    pieces: list[Piece] = []
    for name, chosen in parts.items():
        if name in ("cumulative", "tiles"):
            pieces.append(lower_cumulative(scope, chosen, tiled=name == "tiles"))
        elif name == "frames":
            pieces += lower_frames(scope, chosen)
        else:
            pieces.append(lower_stab(scope, chosen))
    tests = [] if always else [f"coalesce({MEMBERS}, 0) > 0"]
    if scope.form.having is not None:
        tests.append(f"({duckdb_sql(scope.form.having)})")
    columns = dict(scope.form.columns)
    if always:
        counts = {c.name for c in scope.form.aggregates if _is_zero_of_nothing(c.function)}
        columns = {name: _zero_for_none(node, counts) for name, node in columns.items()}
    values = ", ".join(f"{duckdb_sql(node)} as {quoted(name)}" for name, node in columns.items())
    joins = " ".join(f"left join {p.name} on {p.name}.{ROW} = s.{ROW}" for p in pieces)
    where = f" where {' and '.join(tests)}" if tests else ""
    source = f"{scope.name('spine')} as s {joins}"
    if list(parts) == ["tiles"]:  # which have a row for every spine row, and cost the engine less
        source = f"{pieces[0].name} as s"
    sql = f"select s.{ROW}, {values} from {source}{where}"
    made = [q for p in pieces for q in p.subqueries]
    return [*made, Subquery(scope.name("features"), sql)]


def _zero_for_none(node: exp.Expr, counts: set[str]) -> exp.Expr:
    return node.transform(
        lambda n: (
            exp.Coalesce(this=n.copy(), expressions=[exp.Literal.number(0)])
            if isinstance(n, exp.Column) and n.name in counts
            else n
        )
    )
