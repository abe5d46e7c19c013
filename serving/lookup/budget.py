"""How long a request lets the online store take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.lookup.errors import InvalidRequestError

#: The field of a request, in milliseconds.
BUDGET = "budget_ms"
LONGEST_MS = 60_000
_HINT = f"send milliseconds from 1 to {LONGEST_MS}"


def budget_s(raw: Mapping[str, Any]) -> float | None:
    """The budget of a request, in seconds; None where it says none.

    Raises:
        InvalidRequestError: it is not a number, or out of range.

    >>> budget_s({"budget_ms": 5})
    0.005
    """
    budget = raw.get(BUDGET)
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, int | float):
        raise InvalidRequestError(f"{BUDGET!r} is not a number", where=BUDGET, hint=_HINT)
    if not 1 <= budget <= LONGEST_MS:
        raise InvalidRequestError(f"{BUDGET!r} is {budget}", where=BUDGET, hint=_HINT)
    return float(budget) / 1e3
