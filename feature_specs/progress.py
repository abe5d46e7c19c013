"""Callbacks for the progress of long work."""

from __future__ import annotations

from collections.abc import Callable

#: Called with (label, done, total).
Progress = Callable[[str, int, int], None]

#: Called with the share of one statement that is done, 0 to 1.
Share = Callable[[float], None]
