"""Take the aggregates out of a SELECT's expressions, each with the lifetimes of its rows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from feature_specs.compile.draft import AggregateCall, Window
from feature_specs.compile.intervals.clip_clock import clip_clock
from feature_specs.compile.intervals.interval_relation import NoFormError
from feature_specs.compile.sql.aggregate_calls import is_window_function
from feature_specs.compile.sql.clock import has_clock
from feature_specs.compile.sql.conjuncts import conjuncts
from feature_specs.compile.sql.duckdb_sql import duckdb_sql


class AggregateGatherer:
    """Rewrites expressions over keys and columns named for the aggregates.

    Args:
        keys: group expression to the name under which it is handed on.
        table: the table that the new columns are said to be of.
    """

    def __init__(
        self, window: Window, keys: Mapping[exp.Expr, str], table: str | None = None
    ) -> None:
        self.window = window
        self.keys = dict(keys)
        self.table = table
        self.aggregates: dict[exp.Expr, AggregateCall] = {}

    def take(self, node: exp.Expr) -> exp.Expr:
        """A copy of the expression over keys and aggregates."""
        return node.transform(self._replace)

    def _replace(self, node: exp.Expr) -> exp.Expr:
        counted = isinstance(node, (exp.Filter, exp.AggFunc)) or _nulls_handled(node)
        if counted and not is_window_function(node):
            column = exp.column(self._aggregate_call(node).name, table=self.table, quoted=True)
            column.type = node.type
            return column
        if node in self.keys:
            column = exp.column(self.keys[node], table=self.table, quoted=True)
            column.type = node.type
            return column
        return node

    def _aggregate_call(self, node: exp.Expr) -> AggregateCall:
        if node not in self.aggregates:
            filtered = isinstance(node, exp.Filter)
            function = node.this if filtered else node
            if has_clock(function):
                raise NoFormError("the clock is a quantity inside an aggregate")
            window, plain = self.window, []
            for part in conjuncts(node.expression if filtered else None):
                clip = clip_clock(part) if has_clock(part) else None
                if has_clock(part) and clip is None:
                    raise NoFormError(
                        f"the clock stands in {duckdb_sql(part)}, which is not a plain bound"
                    )
                if clip is None:
                    plain.append(part)
                else:
                    window = window.clip(clip)
            self.aggregates[node] = AggregateCall(
                f"fb_agg{len(self.aggregates) + 1}",
                function,
                exp.and_(*plain) if plain else None,
                window,
            )
        return self.aggregates[node]


def _nulls_handled(node: exp.Expr) -> bool:
    return isinstance(node, (exp.IgnoreNulls, exp.RespectNulls)) and isinstance(
        node.this, exp.AggFunc
    )
