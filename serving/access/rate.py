"""How much a team may ask for: token buckets of requests and of cells a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.access.errors import RateLimitedError

#: Buckets hold what comes in within so many seconds.
BURST_S = 1.0


@dataclass(frozen=True)
class Rates:
    """What a team may ask for in a second; None where nothing limits it.

    Attributes:
        cells: entities times features.
    """

    requests: float | None = None
    cells: float | None = None

    def share(self, workers: int) -> Rates:
        """What one of several workers allows, of which each counts by itself."""
        return Rates(*(None if rate is None else rate / workers for rate in vars(self).values()))


UNLIMITED = Rates()


class Bucket:
    """Fills at a rate, up to what comes in a second.

    A request that is larger than the bucket is answered too, once the bucket is full; what it took
    too much has to come in before the next. So the rate holds over time.

    >>> clock = [0.0]
    >>> bucket = Bucket(10.0, now=lambda: clock[0])
    >>> bucket.take(25), bucket.take(1)
    (0.0, 1.6)
    >>> clock[0] = 1.7
    >>> bucket.take(1)
    0.0
    """

    __slots__ = ("_at", "_level", "_now", "rate")

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self.rate, self._now = rate, now
        # A rate of less than one a second lets one in at once all the same.
        self._level, self._at = max(1.0, rate * BURST_S), now()

    def take(self, amount: float) -> float:
        """Take an amount; seconds until it is worth another try, 0 where it was taken."""
        now = self._now()
        most = max(1.0, self.rate * BURST_S)
        self._level = min(most, self._level + (now - self._at) * self.rate)
        self._at = now
        needed = min(amount, most)
        if self._level < needed:
            return (needed - self._level) / self.rate
        self._level -= amount
        return 0.0


class Usage:
    """What a team has asked for of one worker."""

    def __init__(self, rates: Rates, now: Callable[[], float] = time.monotonic) -> None:
        self.rates = rates
        self._requests = None if rates.requests is None else Bucket(rates.requests, now)
        self._cells = None if rates.cells is None else Bucket(rates.cells, now)

    def spend_request(self) -> None:
        """Raises RateLimitedError where the team sends too many."""
        if self._requests is not None:
            _spend(self._requests, 1, "requests")

    def spend_cells(self, cells: int) -> None:
        """Raises RateLimitedError where the team asks for too many entities times features."""
        if self._cells is not None:
            _spend(self._cells, cells, "values")


def _spend(bucket: Bucket, amount: int, kind: str) -> None:
    wait_s = bucket.take(amount)
    if wait_s > 0:
        raise RateLimitedError(
            f"the team asks for more than {bucket.rate:g} {kind} a second of this server",
            retry_after_s=max(1, math.ceil(wait_s)),
        )
