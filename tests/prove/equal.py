"""When two values are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.prove.case import Case

_MISSING = "missing"
#: Floats from here on are drawn positive, so that a sum of them is as great as its terms.
_HUGE = 1e12


@dataclass(frozen=True)
class Tolerance:
    """Floats may differ by 1e-9 of the sum of absolute values.

    Huge values stay out of that sum: one that has left the window must not hide a wrong sum of
    cents. Where one is in the window the expected value itself is huge.
    """

    scale: float

    @classmethod
    def of(cls, case: Case) -> Tolerance:
        numbers = [
            abs(float(v))
            for rows in case.tables.values()
            for row in rows
            for v in row
            if isinstance(v, (int, float, Decimal)) and not isinstance(v, bool)
        ]
        return cls(max(1.0, sum(n for n in numbers if n < _HUGE and n < 1e9)))

    def same(self, actual: Any, expected: Any) -> bool:
        if isinstance(expected, float) and isinstance(actual, float):
            if expected != expected or actual != actual:
                return expected != expected and actual != actual
            within = 1e-9 * (self.scale + abs(expected))
            return actual == expected or abs(actual - expected) <= within
        if isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
            return len(actual) == len(expected) and all(map(self.same, actual, expected))
        if isinstance(expected, datetime) and isinstance(actual, datetime):
            return (actual.tzinfo is None) == (expected.tzinfo is None) and actual == expected
        return type(actual) is type(expected) and bool(actual == expected)


def differences(
    actual: Mapping[str, Any], expected: Mapping[str, Any], tolerance: Tolerance
) -> dict[str, tuple[Any, Any]]:
    """Feature to (actual, expected) where they are not the same."""
    names = [*expected, *(n for n in actual if n not in expected)]
    pairs = {n: (actual.get(n, _MISSING), expected.get(n, _MISSING)) for n in names}
    return {n: pair for n, pair in pairs.items() if not tolerance.same(*pair)}
