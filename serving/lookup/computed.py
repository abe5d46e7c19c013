"""Read-time features: expressions over a stored row, the clock and request values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from feature_specs.errors import DataError
from serving.lookup.plan import ComputedPlan, Given
from serving.lookup.views import ReadyView
from serving.rows import NULL


def compute(
    view: ReadyView,
    plan: ComputedPlan,
    rows: Sequence[Sequence[bytes]],
    absent: Collection[int],
    given: Given,
    now: datetime,
    first: int = 0,
) -> list[bytes]:
    """The fragments of a read-time feature, one a row; null where the entity has no features.

    Args:
        rows: the fields of each stored row, its header first.
        absent: indices of the rows of entities without features.
        now: the clock, an aware datetime in UTC.
        first: index of the first of the rows among all rows of the request.

    Raises:
        DataError: a request value has the wrong type, or the expression fails on a value.
    """
    expression, encode = plan.computed.expression, plan.computed.encode
    span = slice(first, first + len(rows))
    sent = [(name, list(map(coerce, given[at][span]))) for name, at, coerce in plan.requests]
    keys = [(name, coerce, given[name]) for name, coerce in plan.keys]
    event_time = view.time_column if view.time_column in expression.columns else None
    made = []
    for i, fields in enumerate(rows, first):
        if i in absent:
            made.append(NULL)
            continue
        values = view.decode(fields, expression.columns)
        for name, coerce, column in keys:
            values[name] = coerce(column[i])
        if event_time is not None:
            values[event_time] = datetime.fromisoformat(fields[0].decode()).replace(tzinfo=UTC)
        asked: dict[str, Any] = {name: column[i - first] for name, column in sent}
        try:
            value = expression.evaluate(values, now, asked)
        except DataError as error:
            raise DataError(
                f"feature {plan.name!r} cannot be computed: {error.what}",
                where=view.name,
                hint=error.hint,
            ) from None
        made.append(encode(value).encode())
    return made
