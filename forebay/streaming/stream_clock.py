"""The clock of a stream: real time, or one that was set and runs on from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from forebay.dbt_project.project import Project
from forebay.options import run_instant


def stream_clock(project: Project, now: str | None, speed: float) -> Callable[[], datetime]:
    """What time it is, from now on.

    Args:
        now: the instant at which it starts; by default the dbt var ``forebay_now``, else the
            present.
        speed: how many times as fast as ours it runs.
    """
    if now is None and project.now is None and speed == 1:
        return lambda: datetime.now(UTC)
    start, begun = run_instant(project, now), time.monotonic()
    return lambda: start + timedelta(seconds=(time.monotonic() - begun) * speed)
