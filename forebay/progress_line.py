"""Progress as one line of text that is written over: it works in terminals and in Jupyter."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from feature_specs.progress import Progress

_WIDTH = 24
#: Seconds between two lines, and before the first: what is done at once shows nothing.
_EVERY = 0.2


def is_interactive() -> bool:
    """Whether somebody looks on: in a notebook, or at a terminal."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def progress_line(clock: Callable[[], float] = time.monotonic) -> Progress:
    """A callback (label, done, total) that writes a line over itself on stderr."""
    began = last = clock()
    shown = False

    def report(label: str, done: int, total: int) -> None:
        nonlocal last, shown
        now, over = clock(), done >= total
        if (over and not shown) or (not over and now - last < _EVERY):
            return
        last, shown = now, not over
        full = _WIDTH if over else done * _WIDTH // total
        bar = "█" * full + "░" * (_WIDTH - full)
        end = "\n" if over else ""
        line = f"\r{label} {bar} {done:,} of {total:,}, {now - began:.0f} s"
        sys.stderr.write(line + end)
        sys.stderr.flush()

    return report
