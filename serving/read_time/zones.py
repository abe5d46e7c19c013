"""AT TIME ZONE: the wall clock at an instant, by the offsets that the compiler has looked up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from feature_specs.instants import epoch_us
from serving.read_time.typed import TIMESTAMP, TIMESTAMPTZ, Typed, fault, refuse, unary


def local_time(offsets: Sequence[Sequence[int]], arg: Typed) -> Typed:
    """The wall clock's time at an instant.

    Args:
        offsets: ``(second since 1970, seconds ahead of UTC from then on)``, in ascending order. The
            last one ends what is known and has no offset.
    """
    if arg.type != TIMESTAMPTZ:
        raise refuse(
            f"{arg.type} at time zone", "give an instant: a timestamp with time zone, such as now()"
        )
    starts = [int(start) * 1_000_000 for start, *_ in offsets]
    ahead = [timedelta(seconds=int(rest[0])) for _, *rest in offsets[:-1]]

    def wall_clock(moment: datetime) -> datetime:
        found = bisect_right(starts, epoch_us(moment)) - 1
        if not 0 <= found < len(ahead):
            raise fault(f"no offset of the time zone is known at {moment.isoformat()}")
        return moment.replace(tzinfo=None) + ahead[found]

    return unary(TIMESTAMP, wall_clock, arg)
