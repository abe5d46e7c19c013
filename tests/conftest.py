"""Property tests draw the same examples in every run, so that CI fails only for a change."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
