"""Convert nanosecond times to whole microseconds."""

from __future__ import annotations

from typing import Literal


def whole_microseconds(sql: str, rounding: Literal["up", "down"]) -> str:
    """SQL of the microseconds since the epoch of a TIMESTAMP_NS or TIMESTAMPTZ_NS.

    Args:
        rounding: where to go from between two microseconds.
    """
    # DuckDB takes the outermost two for infinity. They are pandas' Timestamp.max and Timestamp.min,
    # with which people mark times that are not known.
    outermost = 2**63 - 1
    count = (
        f"(case when {sql} = 'infinity' then {outermost} when {sql} = '-infinity' "
        f"then -{outermost} else epoch_ns({sql}) end)"
    )
    # `//` cuts towards zero.
    more = f"{count} % 1000 > 0" if rounding == "up" else f"{count} % 1000 < 0"
    return f"{count} // 1000 {'+' if rounding == 'up' else '-'} case when {more} then 1 else 0 end"
