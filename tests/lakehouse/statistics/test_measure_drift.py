"""Drift is what scipy makes of the same shares and values, by formulas of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import ks_2samp

from feature_specs.drift_options import Thresholds
from lakehouse.relations import tune
from lakehouse.statistics.drift_of_views import kolmogorov_smirnov_of
from lakehouse.statistics.feature_statistics import Bins, FeatureStatistics
from lakehouse.statistics.measure_drift import (
    FLOOR,
    jensen_shannon,
    kolmogorov_smirnov,
    measure_drift,
    population_stability,
    shares_of,
)

pytestmark = pytest.mark.slow

_COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4)
_VALUES = st.lists(st.integers(-5, 5).map(float) | st.floats(-9, 9), min_size=1, max_size=30)
NOW = datetime(2024, 1, 10, tzinfo=UTC)


def entry(
    counts: tuple[int, ...], nulls: int = 0, edges: tuple[float, ...] = (1.0, 2.0, 3.0)
) -> FeatureStatistics:
    rows = sum(counts) + nulls
    return FeatureStatistics(
        view="spending", feature="spent", type="DOUBLE", kind="number", measured="build",
        source="t", meaning="m", as_of=NOW, measured_at=NOW, snapshot=1, rows=rows, nulls=nulls,
        bins=Bins(edges=edges), counts=counts, sampled=rows,
    )  # fmt: skip


@given(_COUNTS, _COUNTS)
def test_psi_is_both_relative_entropies(now: list[int], before: list[int]) -> None:
    """As evidently has it too: shares of empty bins become 0.0001, and are not scaled again."""
    p, q = (shares_of(entry(tuple(side), nulls=1)) for side in (now, before))
    floored = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    expected = rel_entr(*floored).sum() + rel_entr(*reversed(floored)).sum()
    assert population_stability(p, q) == pytest.approx(expected, abs=1e-12)


@given(_COUNTS, _COUNTS)
def test_jensen_shannon_is_scipys(now: list[int], before: list[int]) -> None:
    p, q = (shares_of(entry(tuple(side), nulls=1)) for side in (now, before))
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-7)


@given(_VALUES, _VALUES)
def test_kolmogorov_smirnov_of_values_is_scipys(now: list[float], before: list[float]) -> None:
    connection = duckdb.connect()
    tune(connection)
    for name, values in (("n", now), ("b", before)):
        connection.register(name, pa.table({"x": pa.array([*values, None, float("nan")])}))
    found = kolmogorov_smirnov_of(connection, ("from n", "x"), ("from b", "x"))
    assert found == pytest.approx(ks_2samp(now, before).statistic, abs=1e-9)


@given(_VALUES, _VALUES, st.lists(st.floats(-9, 9), min_size=1, max_size=5, unique=True))
def test_at_the_edges_it_is_never_greater_and_exact_where_values_are_edges(
    now: list[float], before: list[float], edges: list[float]
) -> None:
    def binned(values: list[float], at: list[float]) -> list[int]:
        places = np.searchsorted(np.array(at), values, side="left")
        return [int(n) for n in np.bincount(places, minlength=len(at) + 1)]

    exact = ks_2samp(now, before).statistic
    some = sorted(edges)
    found = kolmogorov_smirnov(binned(now, some), binned(before, some))
    assert found is not None and found <= exact + 1e-12
    every = sorted({*now, *before})
    found = kolmogorov_smirnov(binned(now, every), binned(before, every))
    assert found == pytest.approx(exact)


def test_no_values_have_no_statistic() -> None:
    assert kolmogorov_smirnov([0, 0], [1, 1]) is None
    connection = duckdb.connect()
    empty = ("select null::double as x", "x")
    assert kolmogorov_smirnov_of(connection, empty, ("select 1.0 as x", "x")) is None


def test_thresholds_say_what_is_over() -> None:
    before, now = entry((50, 50, 0, 0)), entry((0, 0, 50, 50))
    found = measure_drift(now, before, "last week", Thresholds(psi=0.2, js=0.9, ks=1.0))
    assert found.over == ("psi", "js")
    assert found.ks == 1.0 and found.js == 1.0
    assert measure_drift(now, now, "x", Thresholds(psi=0, js=0, ks=0)).over == ()
    assert measure_drift(now, before, "x", Thresholds(psi=None)).over == ()


def test_a_feature_that_turns_null_drifts() -> None:
    before, now = entry((25, 25, 25, 25)), entry((10, 10, 10, 10), nulls=60)
    found = measure_drift(now, before, "last week", Thresholds())
    assert found.over == ("psi",) and found.ks == 0.0


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (entry((5, 5, 0, 0)), "fewer than 100 rows"),
        (replace(entry((50, 50, 0, 0)), meaning="other"), "its meaning"),
        (replace(entry((50, 50, 0, 0)), kind="time"), "no histogram"),
        (entry((50, 50, 0, 0), edges=(1.0, 2.0, 9.0)), "the bins are others"),
        (replace(entry((0, 0, 0, 0), nulls=100), bins=None, counts=()), "no value"),
    ],
)
def test_what_cannot_be_judged_says_why(now: FeatureStatistics, why: str) -> None:
    found = measure_drift(now, entry((0, 0, 50, 50)), "last week", Thresholds(psi=0.0))
    assert why in found.why_not and found.over == ()
