"""Compute sums, averages and variances from exact counts, totals and totals of squares."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from feature_specs.compile.sql.aggregates import classes, known_aggregate
from feature_specs.compile.sql.exact_types import ExactType

#: Variances and standard deviations.
SPREADS = classes(lambda known: known.totals == "squares")


def square(x: str) -> str:
    """SQL of the square of an integer."""
    return f"(cast({x} as hugeint) * {x})"


def finished(
    function: exp.Expr, kind: ExactType, n: str, total: str, squares: Callable[[], str]
) -> str:
    """SQL of a sum, average, variance or standard deviation from exact totals.

    Args:
        n, total: SQL of how many values there are, and of their sum.
        squares: gives SQL of the sum of their squares.
    """
    if isinstance(function, exp.Sum):
        return f"case when {n} > 0 then cast({total} as {kind.total}) end"
    if isinstance(function, exp.Avg):
        return f"case when {n} > 0 then cast({total} as double) / {n} end"
    known = known_aggregate(function)
    assert known is not None
    wide_n, wide_total = f"cast({n} as hugeint)", f"cast({total} as hugeint)"
    spread = f"cast({wide_n} * {squares()} - {wide_total} * {wide_total} as double)"
    least, weight = (
        (1, f"(cast({n} as double) * ({n} - 1))")
        if known.sample
        else (0, f"(cast({n} as double) * {n})")
    )
    value = f"{spread} / {weight}"
    return f"case when {n} > {least} then {f'sqrt({value})' if known.root else value} end"
