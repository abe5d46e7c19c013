"""Give windows that follow their input's order that order, written out.

DuckDB runs ``sum(x) over (rows ...)`` over a sorted subquery in its order; elsewhere the order of a
subquery is lost. The order is partitioned by the compiler's own key number, within which alone
running totals are compared, and so that not all rows go through one worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.engines.engine_statement import EngineStatement
from feature_specs.compile.engines.map.window_calls import PLACED
from feature_specs.compile.engines.rewrite.trace_columns import Trace

_PARTITION, _TIES = "fb_key", "fb_mark"


@dataclass(frozen=True)
class _Order:
    keys: tuple[exp.Ordered, ...]

    def within(self, names: Sequence[str] | None) -> bool:
        return names is not None and all(k.this.name in names for k in self.keys)


def order_windows(statement: EngineStatement) -> None:
    """Order such windows, in place, and drop orders of subqueries, which mean nothing without LIMIT.

    >>> show(
    ...     order_windows,
    ...     "select sum(x) over (rows 2 preceding) as s from (select x from events order by "
    ...     "x) as e",
    ...     "trino",
    ... )
    SELECT SUM(x) OVER (ORDER BY x rows BETWEEN 2 preceding AND CURRENT ROW) AS s FROM
    (SELECT x FROM events) AS e
    """
    tree, trace = statement.tree, statement.trace
    for select in tree.find_all(exp.Select):
        order = _inherited(select, trace)
        if order is None:
            continue
        for window in list(select.find_all(exp.Window)):
            follows = not window.args.get("order") and window.parent_select is select
            if follows and (_by_rows(window) or isinstance(window.this, PLACED)):
                _set(window, order)
    for subquery in tree.find_all(exp.Subquery):
        if isinstance(subquery.this, exp.Select) and not subquery.this.args.get("limit"):
            subquery.this.set("order", None)


def _by_rows(window: exp.Window) -> bool:
    spec = window.args.get("spec")
    return spec is not None and str(spec.args.get("kind")).upper() == "ROWS"


def _set(window: exp.Window, order: _Order) -> None:
    keys = list(order.keys)
    if keys[0].this.name == _PARTITION and not window.args.get("partition_by"):
        window.set("partition_by", [keys.pop(0).this.copy()])
    window.set("order", exp.Order(expressions=[k.copy() for k in keys]))


def _inherited(select: exp.Select, trace: Trace) -> _Order | None:
    """The order in which the rows of FROM come, over their columns."""
    start = select.args.get("from_")
    if start is None or select.args.get("joins") or not isinstance(start.this, exp.Subquery):
        return None
    inner = start.this.this
    if not isinstance(inner, exp.Select) or inner.args.get("limit"):
        return None
    names = trace.names_of(inner)
    written = inner.args.get("order")
    order = _inherited(inner, trace)
    if written is not None:
        keys = [k.copy() for k in written.expressions]
        if names is not None and _TIES in names:
            keys.append(exp.Ordered(this=exp.column(_TIES, quoted=True), nulls_first=True))
        order = _Order(tuple(keys))
    return order if order is not None and order.within(names) else None
