"""Property tests draw the same examples in every run, so that CI fails only for a change."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Nor for a slow machine: how long it takes to draw is no property of the code.
settings.register_profile(
    "fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("fixed")
