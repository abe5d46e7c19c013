"""What aggregates over frames an engine cannot do, and how it does the others."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from feature_specs.compile.engines.annotate_columns import kind_of
from feature_specs.compile.engines.nodes import case

#: Functions that exist only over windows and mean the same everywhere.
PLACED = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag,
    exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue,
)  # fmt: skip
_SPREADS = (exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance, exp.VariancePop)
_FRAMED = (
    exp.Sum, exp.Avg, exp.Count, exp.CountIf, exp.Min, exp.Max, exp.LogicalOr, exp.LogicalAnd, *_SPREADS,
)  # fmt: skip
_FRAMED_SPARK = (*_FRAMED, exp.Median, exp.PercentileCont)


def window_refusal(function: exp.Expr, engine: str) -> str | None:
    """Why an engine cannot evaluate an aggregate over a frame; None where it can."""
    if engine == "duckdb":
        return None
    while isinstance(function, (exp.Filter, exp.IgnoreNulls, exp.RespectNulls)):
        function = function.this
    if isinstance(function, PLACED):
        return None
    name = function.key
    if function.find(exp.Distinct):
        return f"{name} of distinct values over a frame"
    if function.find(exp.Order):
        return f"{name} with an order of its own over a frame"
    allowed = _FRAMED_SPARK if engine == "spark" else _FRAMED
    if not isinstance(function, allowed):
        return f"{name} over a frame"
    if engine == "trino" and isinstance(function, exp.Sum) and not kind_of(function.this):
        return (
            "sum over a frame of values whose type is not known (a float's frame must not subtract)"
        )
    return None


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
        """Rows leave the frame as it goes on."""
        spec = self.over.args.get("spec") if self.over is not None else None
        return spec is not None and str(spec.args.get("start")).upper() != "UNBOUNDED"
