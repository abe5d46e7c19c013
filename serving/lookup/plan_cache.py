"""A bounded cache of what was made for a request's shape; the longest unused goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Made = TypeVar("_Made")

#: Features of all plans that are kept, about 20 MB of them.
_WEIGHT_LIMIT = 100_000


class PlanCache(Generic[_Made]):
    """Keeps plans by shape while the number of features in all of them stays within a limit.

    A shape of None is that of a request that is not well formed, and is not kept.

    >>> cache = PlanCache[str](weight_limit=3)
    >>> cache.put("a", "plan a", 2), cache.put("b", "plan b", 2)
    (None, None)
    >>> cache.get("a"), cache.get("b"), cache.get(None)
    (None, 'plan b', None)
    """

    def __init__(self, weight_limit: int = _WEIGHT_LIMIT) -> None:
        self._limit = weight_limit
        self._weight = 0
        self._kept: OrderedDict[Hashable, tuple[_Made, int]] = OrderedDict()

    def get(self, shape: Hashable | None) -> _Made | None:
        """What was put for the shape, if it is still there."""
        found = self._kept.get(shape)
        if found is None:
            return None
        self._kept.move_to_end(shape)
        return found[0]

    def put(self, shape: Hashable | None, made: _Made, features: int) -> None:
        """Keep what was made for a shape that asks for that many features."""
        if shape is None:
            return
        _, before = self._kept.pop(shape, (None, 0))
        self._kept[shape] = made, features
        self._weight += features - before
        while self._weight > self._limit:
            _, (_, weight) = self._kept.popitem(last=False)
            self._weight -= weight
