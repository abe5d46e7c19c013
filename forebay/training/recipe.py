"""The recipe that reproduces a training set, kept in its record: see docs/training.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feature_specs.view_entry import ViewEntry
from lakehouse.training_record import Record

#: Aggregates of floats whose last digits depend on the order in which they meet their rows.
_IN_ORDER = re.compile(
    r"\b(sum|avg|mean|fsum|kahan_sum|sumkahan|favg|product|geomean|geometric_mean|"
    r"(stddev|var|covar|regr|std|skewness|kurtosis|corr|entropy|sem|mad)\w*|variance)\s*\(",
    re.IGNORECASE,
)
#: Those that depend on it whatever they are of.
_SKETCHES = re.compile(
    r"\b(approx_quantile|approx_top_k|reservoir_quantile|mode)\s*\(", re.IGNORECASE
)
_FLOAT = re.compile(r"\b(DOUBLE|FLOAT)\b")
#: The lowerings that sum floats as whole numbers, or none at all.
_EXACT = {"cumulative"}


@dataclass(frozen=True)
class Recipe:
    """How a set is computed.

    Attributes:
        engine: its name.
        statement: of the service, in DuckDB's SQL, with names in place of its spine; empty where
            the engine is another.
        types: DuckDB types as which a text spine's columns are read.
        threads: on how many threads; 0 for as many as there are.
    """

    engine: str
    statement: str
    types: Mapping[str, str]
    threads: int

    def as_record(self) -> Record:
        if self.engine != "duckdb":
            return {"engine": self.engine}
        return {
            "engine": self.engine,
            "statement": self.statement,
            "types": dict(self.types),
            "threads": self.threads,
        }


def threads_for(views: Iterable[ViewEntry], statement: str) -> int:
    """On how many threads a statement gives the same bytes each time; 0 for any number.

    Threads hand rows to an aggregate in an order that is another each time, and so a sum of doubles
    differs in its last digits from run to run. One thread sums in one order.
    """
    if _SKETCHES.search(statement):
        return 1
    for view in views:
        floats = any(_FLOAT.search(column.type) for column in view.stored)
        if floats and view.lowering not in _EXACT and _IN_ORDER.search(statement):
            return 1
    return 0
