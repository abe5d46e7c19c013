"""What is measured of a column is what numpy and plain Python make of its values."""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.relations import tune
from lakehouse.statistics.feature_statistics import QUANTILES, Bins
from lakehouse.statistics.measure_columns import Measure, measure_columns

pytestmark = pytest.mark.slow

_NUMBERS = st.lists(
    st.one_of(
        st.none(),
        st.integers(-3, 3).map(float),
        st.floats(-1e6, 1e6),
        st.sampled_from([math.nan, math.inf, -math.inf]),
    ),
    max_size=40,
)


def measure(
    values: Sequence[Any], kind: pa.DataType, named: str, bins: Bins | None = None, **how: Any
) -> Measure:
    rows = pa.table({"k": pa.array(range(len(values))), "x": pa.array(list(values), kind)})
    connection = duckdb.connect()
    tune(connection)
    connection.register("given", rows)
    frozen = {} if bins is None else {"x": bins}
    return measure_columns(connection, "given", ["k"], {"x": named}, frozen, **how)["x"]


def numbers(values: Sequence[float | None], bins: Bins | None = None) -> Measure:
    return measure(list(values), pa.float64(), "DOUBLE", bins)


def in_bins(values: list[float], edges: tuple[float, ...]) -> list[int]:
    """How many values lie in each bin, their upper edges included."""
    places = Counter(int(n) for n in np.searchsorted(np.array(edges), values, side="left"))
    return [places[n] for n in range(len(edges) + 1)]


@given(_NUMBERS)
def test_numbers(values: list[float | None]) -> None:
    found = numbers(values)
    present = [v for v in values if v is not None and not math.isnan(v)]
    finite = np.array([v for v in present if math.isfinite(v)])
    assert (found.rows, found.sampled) == (len(values), len(values))
    assert found.nulls == values.count(None)
    assert found.nans == sum(v is not None and math.isnan(v) for v in values)
    if not len(finite):
        assert (found.mean, found.quantiles, found.bins, found.counts) == (None, (), None, ())
        return
    scale = float(np.abs(finite).max()) + 1
    assert found.mean == pytest.approx(finite.mean(), abs=1e-9 * scale)
    if len(finite) > 1:
        assert found.stddev == pytest.approx(finite.std(ddof=1), abs=1e-6 * scale)
    assert (found.least, found.greatest) == (finite.min(), finite.max())
    assert found.quantiles == pytest.approx(np.quantile(finite, QUANTILES), abs=1e-9 * scale)
    assert found.bins is not None
    assert list(found.counts) == in_bins(present, found.bins.edges)
    assert len(found.counts) == len(found.bins)


def test_what_lies_below_a_frequent_least_value_has_a_bin_of_its_own() -> None:
    bins = numbers([0.0] * 50 + [1.0] * 50).bins
    assert bins is not None
    assert numbers([-1.0, 0.0, 1.0, 2.0], bins).counts[0] == 1


def test_frozen_bins_stay() -> None:
    bins = Bins(edges=(1.0, 2.0))
    found = numbers([0.5, 1.0, 1.5, 9.0, 10.0, None], bins)
    assert (found.bins, found.counts) == (bins, (2, 1, 2))
    assert numbers([None], bins).counts == (0, 0, 0)
    assert numbers([0.0], bins).counts == (1, 0, 0)


@given(st.lists(st.sampled_from([None, "a", "b", "", "it's", "z"]), max_size=40))
def test_categories(values: list[str | None]) -> None:
    found = measure(values, pa.string(), "VARCHAR")
    present = [v for v in values if v is not None]
    frequent = sorted(Counter(present).items(), key=lambda item: (-item[1], item[0]))
    assert (found.nulls, found.distinct) == (values.count(None), len(set(present)))
    assert list(found.top) == frequent
    if present:
        assert found.bins == Bins(categories=tuple(value for value, _ in frequent))
        assert found.counts == (*(count for _, count in frequent), 0)


def test_a_new_category_is_among_the_others() -> None:
    bins = Bins(categories=("a", "b"))
    found = measure(["a", "new", "a", "b", None, "other"], pa.string(), "VARCHAR", bins)
    assert found.counts == (2, 1, 2)


def test_numbers_that_one_double_stands_for_are_several() -> None:
    many = [2**53, 2**53 + 1, 2**53 + 1, None]
    found = measure(many, pa.int64(), "BIGINT")
    assert (found.distinct, found.nulls) == (2, 1)
    assert found.top == (("9007199254740993", 2), ("9007199254740992", 1))
    cents = [Decimal("12345678901234567890.12"), Decimal("12345678901234567890.13")]
    assert measure(cents, pa.decimal128(38, 2), "DECIMAL(38,2)").distinct == 2


def test_the_greatest_doubles_have_bins_too() -> None:
    most = sys.float_info.max
    for values in ([-most, -most, most], [-most], [most, most, -most, 0.0]):
        found = numbers([*values])
        assert found.bins is not None and all(map(math.isfinite, found.bins.edges))
        assert list(found.counts) == in_bins(values, found.bins.edges)


def test_an_infinite_time_is_no_null() -> None:
    with duckdb.connect() as connection:
        given = "(select unnest(['infinity'::timestamptz, '1970-01-01 00:01Z', null]) as v)"
        kind = "TIMESTAMP WITH TIME ZONE"
        found = measure_columns(connection, given, (), {"v": kind}, {})["v"]
    assert (found.rows, found.nulls, found.distinct) == (3, 1, 2)
    assert (found.least, found.greatest) == (60.0, 60.0)


def test_truths_times_and_lists() -> None:
    truths = measure([True, False, True, None], pa.bool_(), "BOOLEAN")
    assert (truths.kind, truths.top) == ("category", (("true", 2), ("false", 1)))
    times = measure([0, 60_000_000], pa.timestamp("us", "UTC"), "TIMESTAMP WITH TIME ZONE")
    assert (times.kind, times.least, times.greatest, times.counts) == ("time", 0.0, 60.0, ())
    lists = measure([[1.0], None], pa.list_(pa.float32()), "FLOAT[]")
    assert (lists.kind, lists.nulls, lists.distinct) == ("other", 1, None)


def test_the_largest_doubles_have_no_mean_rather_than_an_error_or_another_one() -> None:
    found = numbers([1e308, 1e308, 1.0])
    assert (found.mean, found.stddev, found.greatest) == (None, None, 1e308)


def test_a_sample_keeps_its_promise() -> None:
    rng = random.Random(3)
    values = [rng.gauss(0, 1) for _ in range(40_000)]
    found = measure(values, pa.float64(), "DOUBLE", sampled=4_000)
    assert found.rows == 40_000 and found.sampled < 5_000
    assert sum(found.counts) == found.sampled
    assert found.mean == pytest.approx(np.mean(values))
    # Dvoretzky, Kiefer, Wolfowitz: of 4,000 rows, in 99 cases of 100.
    off = math.sqrt(math.log(2 / 0.01) / (2 * found.sampled))
    for share, value in zip(QUANTILES[1:-1], found.quantiles[1:-1], strict=True):
        assert abs(np.mean(np.array(values) <= value) - share) < off
    assert found.distinct == pytest.approx(40_000, rel=0.1)
