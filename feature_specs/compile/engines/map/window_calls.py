"""What aggregates over frames an engine cannot do, and how it does the others."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.engines.map.nodes import case, refusal
from feature_specs.compile.engines.rewrite.annotate_columns import kind_of
from feature_specs.compile.sql.aggregate_calls import function_of
from feature_specs.compile.sql.aggregates import known_aggregate

#: Functions that exist only over windows and mean the same everywhere.
PLACED = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag,
    exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue,
)  # fmt: skip


def window_refusal(function: exp.Expr, engine: str) -> str | None:
    """Why an engine cannot evaluate an aggregate over a frame; None where it can."""
    if engine == "duckdb":
        return None
    function = function_of(function)
    if isinstance(function, PLACED):
        return None
    name = function.key
    if function.find(exp.Distinct):
        return f"{name} of distinct values over a frame"
    if function.find(exp.Order):
        return f"{name} with an order of its own over a frame"
    known = known_aggregate(function)
    if known is None or engine not in known.framed:
        return f"{name} over a frame"
    if engine == "trino" and isinstance(function, exp.Sum) and not kind_of(function.this):
        return (
            "sum over a frame of values whose type is not known (a float's frame must not subtract)"
        )
    return None


def shifted(node: exp.Lag | exp.Lead, engine: str) -> exp.Expr:
    """lag() or lead() by a number of rows that is not below zero: by -2, lag() is lead() by 2.

    Raises:
        CompileError: by how many rows is not known until it runs.
    """
    offset = node.args.get("offset")
    if offset is None:
        return node
    bare, sign = offset.unnest(), 1
    while isinstance(bare, (exp.Neg, exp.Cast, exp.Paren)):
        sign, bare = (-sign if isinstance(bare, exp.Neg) else sign), bare.this
    if not isinstance(bare, exp.Literal) or bare.is_string or not bare.this.isdigit():
        raise refusal(
            f"{node.key} by {offset.sql('duckdb')[:60]} rows, which is not one number,",
            engine,
            "write the number of rows as a literal, or run this view on duckdb",
        )
    kinds = (exp.Lag, exp.Lead) if sign > 0 else (exp.Lead, exp.Lag)
    made = (kinds[0] if isinstance(node, exp.Lag) else kinds[1])(
        this=node.this.copy(), offset=exp.Literal.number(int(bare.this))
    )
    if node.args.get("default") is not None:
        made.set("default", node.args["default"].copy())
    return made


@dataclass(frozen=True)
class Call:
    """Where an aggregate stands: its FILTER and its window.

    Attributes:
        where: over a window it is folded into the arguments, since neither engine filters there.
    """

    engine: str
    where: exp.Expr | None = None
    over: exp.Window | None = None

    def argument(self, value: exp.Expr) -> exp.Expr:
        """The value, or null for a row that a window's FILTER leaves out."""
        if self.over is None or self.where is None:
            return value.copy()
        return case((self.where, value))

    def wrap(self, function: exp.Expr, also: exp.Expr | None = None) -> exp.Expr:
        """The function with FILTER or OVER.

        Args:
            also: a further condition on the rows; only without a window.
        """
        if self.over is not None:
            window = self.over.copy()
            window.set("this", function)
            return window
        tests = [t.copy() for t in (self.where, also) if t is not None]
        if not tests:
            return function
        return exp.Filter(this=function, expression=exp.Where(this=exp.and_(*tests)))

    @property
    def moving(self) -> bool:
        """Rows leave the frame as it moves."""
        spec = self.over.args.get("spec") if self.over is not None else None
        return spec is not None and str(spec.args.get("start")).upper() != "UNBOUNDED"
