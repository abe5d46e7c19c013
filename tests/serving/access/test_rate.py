"""Token buckets of teams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.errors import RateLimitedError
from serving.access.rate import UNLIMITED, Bucket, Rates, Usage


@given(
    rate=st.floats(0.1, 1000),
    asked=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 500)), max_size=60),
)
def test_over_any_time_no_more_than_the_rate_comes_through(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    now = 0.0
    bucket = Bucket(rate, now=lambda: now)
    taken, largest = 0, 0
    for pause, amount in asked:
        now += pause
        wait_s = bucket.take(amount)
        if wait_s == 0:
            taken, largest = taken + amount, max(largest, amount)
        else:
            assert wait_s > 0
        # A bucket that was full, what came in, and the last request, which may take too much.
        assert taken <= max(1.0, rate) + rate * now + largest + 1e-6


def test_the_time_that_is_told_is_enough() -> None:
    now = 0.0
    bucket = Bucket(2.0, now=lambda: now)
    for _ in range(2):
        assert bucket.take(1) == 0
    for _ in range(20):
        wait_s = bucket.take(7)
        now += wait_s + 1e-9
        assert bucket.take(7) == 0


def test_what_a_team_spends() -> None:
    now = 0.0
    usage = Usage(Rates(2.0, 100.0), now=lambda: now)
    usage.spend_request()
    usage.spend_request()
    with pytest.raises(RateLimitedError, match="more than 2 requests a second") as told:
        usage.spend_request()
    assert told.value.retry_after_s == 1
    usage.spend_cells(1000)
    with pytest.raises(RateLimitedError, match="more than 100 values a second") as told:
        usage.spend_cells(1)
    assert told.value.retry_after_s == 10
    unlimited = Usage(UNLIMITED)
    for _ in range(1000):
        unlimited.spend_request()
        unlimited.spend_cells(10**9)
    assert Rates(10.0, None).share(4) == Rates(2.5, None)
