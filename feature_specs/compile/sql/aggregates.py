"""Registry of aggregates: exactness, frames, result type, order, and name on each engine.

An aggregate without a line here is accepted if ``duckdb_functions`` lists it. It then takes the general
lowerings (stab, decorrelated), and runs on DuckDB alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sqlglot import exp

#: The running totals that an aggregate is computed from: a count, a sum, or a sum and a sum of squares.
#: All can be subtracted.
Totals = Literal["count", "sum", "squares"]

_DUCKDB = frozenset({"duckdb"})
_DUCKDB_AND_SPARK = frozenset({"duckdb", "spark"})
_ALL = frozenset({"duckdb", "trino", "spark"})


@dataclass(frozen=True)
class Aggregate:
    """What is known of an aggregate.

    Attributes:
        node: SQLGlot's class.
        totals: the running totals that give it for exact numbers; None if none do.
        framed: engines that evaluate it over a moving frame without error from rows outside.
        result: the type that DuckDB certainly gives it: ``bigint``, ``double``, that of its
            ``argument``, or of a ``total``; None if uncertain.
        zero: it is 0 over no rows rather than null.
        order: ``none`` if no order changes it, ``takes`` if it needs an ORDER BY of its own; None if
            that depends.
        sample, root: of a variance: of a sample rather than the population; its square root.
        names: each engine's name for it, where argument and value are the same. Other rewrites
            are in ``engines/map/map_aggregates``.
    """

    node: type[exp.Expr]
    totals: Totals | None = None
    framed: frozenset[str] = frozenset()
    result: Literal["bigint", "double", "argument", "total"] | None = None
    zero: bool = False
    order: Literal["none", "takes"] | None = None
    sample: bool = False
    root: bool = False
    names: Mapping[str, str] = field(default_factory=dict)


def _both(name: str) -> Mapping[str, str]:
    return {"trino": name, "spark": name}


KNOWN: tuple[Aggregate, ...] = (
    Aggregate(exp.Count, "count", _ALL, "bigint", zero=True, order="none"),
    Aggregate(exp.CountIf, "count", _ALL, "bigint", order="none"),
    Aggregate(exp.Sum, "sum", _ALL, "total"),
    Aggregate(exp.Avg, "sum", _ALL, "total"),
    Aggregate(exp.Variance, "squares", _ALL, "double", sample=True, names=_both("var_samp")),
    Aggregate(exp.VariancePop, "squares", _ALL, "double", names=_both("var_pop")),
    Aggregate(
        exp.Stddev, "squares", _ALL, "double", sample=True, root=True, names=_both("stddev_samp")
    ),
    Aggregate(
        exp.StddevSamp,
        "squares",
        _ALL,
        "double",
        sample=True,
        root=True,
        names=_both("stddev_samp"),
    ),
    Aggregate(exp.StddevPop, "squares", _ALL, "double", root=True, names=_both("stddev_pop")),
    Aggregate(exp.Min, None, _ALL, "argument", order="none", names=_both("min")),
    Aggregate(exp.Max, None, _ALL, "argument", order="none", names=_both("max")),
    Aggregate(exp.LogicalOr, None, _ALL, names=_both("bool_or")),
    Aggregate(exp.LogicalAnd, None, _ALL, names=_both("bool_and")),
    Aggregate(exp.Median, None, _DUCKDB_AND_SPARK),
    Aggregate(exp.PercentileCont, None, _DUCKDB_AND_SPARK),
    Aggregate(exp.PercentileDisc, None, _DUCKDB),
    Aggregate(exp.ArgMax, result="argument", names=_both("max_by")),
    Aggregate(exp.ArgMin, result="argument", names=_both("min_by")),
    Aggregate(exp.Mode, result="argument"),
    Aggregate(exp.First, result="argument", order="takes"),
    Aggregate(exp.Last, result="argument", order="takes"),
    Aggregate(exp.AnyValue, result="argument", order="takes"),
    Aggregate(exp.ArrayAgg, order="takes"),
    Aggregate(exp.GroupConcat, order="takes"),
    Aggregate(exp.Corr, result="double"),
    Aggregate(exp.CovarPop, result="double", names=_both("covar_pop")),
    Aggregate(exp.CovarSamp, result="double", names=_both("covar_samp")),
    Aggregate(
        exp.ApproxDistinct,
        zero=True,
        names={"trino": "approx_distinct", "spark": "approx_count_distinct"},
    ),
    Aggregate(exp.RegrCount, zero=True),
)
_BY_NODE: Mapping[type[exp.Expr], Aggregate] = {known.node: known for known in KNOWN}


def known_aggregate(function: exp.Expr) -> Aggregate | None:
    """What is known of a function; None if it is not an aggregate, or nothing is known.

    >>> known_aggregate(exp.Stddev(this=exp.column("x"))).names["trino"]
    'stddev_samp'
    """
    return _BY_NODE.get(type(function))


def classes(test: Callable[[Aggregate], bool]) -> tuple[type[exp.Expr], ...]:
    """SQLGlot's classes of the aggregates that pass a test.

    >>> [c.__name__ for c in classes(lambda a: a.order == "none")]
    ['Count', 'CountIf', 'Min', 'Max']
    """
    return tuple(known.node for known in KNOWN if test(known))


def name_on(node: type[exp.Expr], engine: str) -> str:
    """An engine's name of an aggregate that it has as it is."""
    return _BY_NODE[node].names[engine]
