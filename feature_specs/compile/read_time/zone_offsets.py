"""Look up how far a time zone is ahead of UTC, and when that changes, as DuckDB has it.

Serving adds these offsets instead of asking a time zone database of its own, which may be another
edition: governments change the rules several times a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import duckdb

from feature_specs.time_zones import SESSION_AT_UTC

_DAY = 86_400

#: Seconds since 1970 between which offsets are looked up: to the start of 2100.
FIRST, LAST = 0, 47_482 * _DAY

_OFFSETS = (
    "select cast(epoch(to_timestamp(s) at time zone $zone) as bigint) - s "
    "from (select unnest($seconds) as s)"
)


@lru_cache(maxsize=64)
def zone_offsets(zone: str) -> tuple[tuple[int, ...], ...]:
    """``(second since 1970, seconds ahead of UTC from then on)``, ascending; the last only ends it.

    Raises:
        duckdb.Error: DuckDB knows no such zone.

    >>> zone_offsets("Europe/Berlin")[:3]
    ((0, 3600), (323830800, 7200), (338950800, 3600))
    """
    with duckdb.connect() as connection:
        connection.execute(SESSION_AT_UTC)

        def ask(seconds: Sequence[int]) -> list[int]:
            found = connection.execute(_OFFSETS, {"zone": zone, "seconds": list(seconds)})
            return [int(row[0]) for row in found.fetchall()]

        days = range(FIRST, LAST + 1, _DAY)
        offsets = ask(days)
        changes = [n for n in range(1, len(days)) if offsets[n] != offsets[n - 1]]
        before = [days[n - 1] for n in changes]
        after = [days[n] for n in changes]
        old = [offsets[n - 1] for n in changes]
        # Halve each day that has a change until it is one second long: 17 times.
        for _ in range(_DAY.bit_length()):
            middle = [(a + b) // 2 for a, b in zip(before, after, strict=True)]
            for n, offset in enumerate(ask(middle)):
                if offset == old[n]:
                    before[n] = middle[n]
                else:
                    after[n] = middle[n]
        new = [offsets[n] for n in changes]
    return ((FIRST, offsets[0]), *zip(after, new, strict=True), (LAST,))
